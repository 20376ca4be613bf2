import { styleText } from 'node:util'
import type { AgentState } from '../../client/agent-status.ts'
import type { RequestNote } from '../../protocol/messages.ts'
import { escapeControls } from '../log-values.ts'

/** What an agent's live status shows. Host names, paths and reasons in it come from strangers. */
export interface View {
  readonly version: string
  readonly gateway: string
  readonly state: AgentState
  /** Unix time; while connected. */
  readonly connectedSinceMs: number | undefined
  readonly rttMs: number | undefined
  readonly tunnels: readonly TunnelView[]
  /** Warnings and errors, finished lines, the oldest first. */
  readonly problems: readonly string[]
  /** The newest first. */
  readonly requests: readonly SeenRequest[]
}

export interface TunnelView {
  /** `https://app.example.com`, or what else visitors type. */
  readonly address: string
  readonly target: string
  readonly count: number
  readonly of: 'request' | 'connection'
}

export interface SeenRequest extends RequestNote {
  /** Unix time at which we heard of it. */
  readonly atMs: number
}

export interface Paper {
  readonly columns: number
  readonly rows: number
  readonly isColoured: boolean
  readonly nowMs: number
}

/** The lines of one picture: as many as fit, none too long. */
export function drawView(view: View, paper: Paper): string[] {
  const { columns, rows } = paper
  const paint = painter(paper.isColoured)
  const shownTunnels = Math.max(3, Math.floor(rows / 3))
  const lines = [
    ...[paint('bold', `gotunnel-agent ${view.version}`), ''],
    field('gateway', `${view.gateway}  ${stateText(view, paper, paint)}`, columns),
    ...tunnelLines(view.tunnels, shownTunnels, columns),
    ...(view.problems.length > 0 ? ['', ...view.problems.map((line) => cut(line, columns))] : []),
    '',
  ]
  const room = Math.max(0, rows - lines.length - 3)
  const seen = view.requests.slice(0, room).map((request) => requestLine(request, columns, paint))
  const none = paint('dim', 'no requests yet')
  lines.push(...(seen.length > 0 ? seen : [none]), '', paint('dim', 'Ctrl+C ends the agent'))
  return lines.slice(0, rows)
}

type Paint = (style: 'bold' | 'dim' | 'green' | 'yellow' | 'red', text: string) => string

function painter(isColoured: boolean): Paint {
  return (style, text) => (isColoured ? styleText(style, text) : text)
}

function stateText({ state, connectedSinceMs, rttMs }: View, { nowMs }: Paper, paint: Paint) {
  if (state !== 'connected') return paint('yellow', state)
  const since = connectedSinceMs === undefined ? '' : ` for ${duration(nowMs - connectedSinceMs)}`
  const rtt = rttMs === undefined ? '' : `, ${rttMs < 10 ? rttMs.toFixed(1) : Math.round(rttMs)} ms`
  return `${paint('green', 'connected')}${since}${rtt}`
}

function tunnelLines(tunnels: readonly TunnelView[], most: number, columns: number): string[] {
  const shown = tunnels.slice(0, most)
  const width = Math.max(...shown.map(({ address }) => address.length))
  const lines = shown.map(({ address, target, count, of }, at) => {
    const text = `${escapeControls(address).padEnd(width)} → ${target}  ${counted(count, of)}`
    return field(at === 0 ? 'tunnels' : '', text, columns)
  })
  const left = tunnels.length - shown.length
  return left > 0 ? [...lines, field('', `and ${left} more`, columns)] : lines
}

function counted(count: number, of: string): string {
  return `${count.toLocaleString('en')} ${of}${count === 1 ? '' : 's'}`
}

function requestLine(request: SeenRequest, columns: number, paint: Paint): string {
  const { atMs, hostname, method, path, status, durationMs } = request
  const clock = new Date(atMs).toTimeString().slice(0, 8)
  const head = `${clock}  ${method.padEnd(7)} `
  const shownStatus = status === 0 ? 'left' : String(status).padEnd(4)
  const tail = `${duration(durationMs).padStart(7)}  ${escapeControls(hostname + path)}`
  const cutTail = cut(tail, columns - head.length - shownStatus.length - 1)
  return `${paint('dim', escapeControls(head))}${paint(colourOf(status), shownStatus)} ${cutTail}`
}

function colourOf(status: number): 'green' | 'yellow' | 'red' | 'dim' {
  if (status >= 500) return 'red'
  if (status >= 400) return 'yellow'
  return status >= 100 ? 'green' : 'dim'
}

function field(name: string, text: string, columns: number): string {
  return `${name.padEnd(9)}${cut(text, columns - 9)}`
}

/** Styles take no room. */
function cut(text: string, columns: number): string {
  let [left, result] = [columns, '']
  for (const part of text.split(/(\x1b\[\d+m)/)) {
    if (part.startsWith('\x1b')) result += part
    else {
      result += part.length > left ? `${part.slice(0, Math.max(0, left - 1))}…` : part
      left -= part.length
      if (left < 0) return `${result}${text.includes('\x1b') ? '\x1b[0m' : ''}`
    }
  }
  return result
}

function duration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`
  const seconds = ms / 1_000
  if (seconds < 60) return `${Math.floor(seconds)} s`
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min`
  const hours = Math.floor(seconds / 3_600)
  return hours < 48
    ? `${hours} h ${Math.floor((seconds % 3_600) / 60)} min`
    : `${Math.floor(hours / 24)} days`
}
