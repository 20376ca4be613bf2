import type { WriteStream } from 'node:tty'
import type { AgentState, AgentStatus } from '../../client/agent-status.ts'
import type { Route } from '../../client/forward.ts'
import type { LogFields } from '../../log.ts'
import { canonicalHostname } from '../../net/hostname.ts'
import { isPortRouteKey, parsePathRouteKey, type Requests } from '../../protocol/messages.ts'
import { formatPretty, type LogLine } from '../log-format.ts'
import type { ProgramLogger } from '../logger.ts'
import { Screen } from './screen.ts'
import { drawView, type SeenRequest, type TunnelView } from './view.ts'

/** What of an agent is looked at. */
export interface Watched {
  status(): AgentStatus
  on(event: 'state', listener: (state: AgentState) => void): unknown
  on(event: 'connection', listener: (route: Route) => void): unknown
}

export interface LiveStatusOptions {
  readonly terminal: WriteStream
  readonly version: string
  /** Where the agent connects to. */
  readonly gateway: string
}

const mostRequests = 200
const mostProblems = 3
/** Faster than anybody reads. */
const pauseMs = 100

/**
 * The agent on a terminal: how it stands, and what visitors ask for, in place of a log. It is the log
 * as well, of which it shows the last warnings and errors; these stay when it closes.
 */
export class LiveStatus implements ProgramLogger {
  readonly #options: LiveStatusOptions
  readonly #screen: Screen
  readonly #isColoured = !process.env.NO_COLOR
  readonly #requests: SeenRequest[] = []
  readonly #problems: LogLine[] = []
  /** Of this run, by hostname as it was typed. */
  readonly #connections = new Map<string, number>()
  /** By canonical hostname: of this session, as the gateway counts. */
  readonly #counts = new Map<string, number>()
  #agent: Watched | undefined
  #nextDraw: NodeJS.Timeout | undefined
  #ticking: NodeJS.Timeout | undefined

  constructor(options: LiveStatusOptions) {
    this.#options = options
    this.#screen = new Screen(options.terminal)
  }

  /** Begins to draw. */
  watch(agent: Watched): void {
    this.#agent = agent
    agent.on('state', (state) => {
      if (state === 'connecting') this.#counts.clear()
      this.#drawSoon()
    })
    agent.on('connection', ({ hostname }) => {
      this.#connections.set(hostname, (this.#connections.get(hostname) ?? 0) + 1)
      this.#drawSoon()
    })
    this.#options.terminal.on('resize', this.#drawSoon)
    this.#ticking = setInterval(this.#drawSoon, 1_000).unref()
    this.#screen.open()
    this.#draw()
  }

  readonly onRequests = ({ latest, counts }: Requests): void => {
    for (const [hostname, count] of counts) this.#counts.set(hostname, count)
    const atMs = Date.now()
    for (const note of latest) this.#requests.unshift({ ...note, atMs })
    this.#requests.splice(mostRequests)
    this.#drawSoon()
  }

  debug(): void {}

  info(): void {}

  warn(message: string, fields?: LogFields): void {
    this.#add({ time: new Date(), level: 'warn', message, fields })
  }

  error(message: string, fields?: LogFields): void {
    this.#add({ time: new Date(), level: 'error', message, fields })
  }

  setLevel(): void {}

  async close(): Promise<void> {
    clearTimeout(this.#nextDraw)
    clearInterval(this.#ticking)
    this.#options.terminal.off('resize', this.#drawSoon)
    this.#screen.close()
    for (const line of this.#problemLines()) this.#options.terminal.write(`${line}\n`)
    this.#problems.length = 0
  }

  #add(line: LogLine): void {
    this.#problems.push(line)
    if (this.#problems.length > mostProblems) this.#problems.shift()
    this.#drawSoon()
  }

  #problemLines(): string[] {
    return this.#problems.map((line) => formatPretty(line, this.#isColoured))
  }

  readonly #drawSoon = (): void => {
    this.#nextDraw ??= setTimeout(() => this.#draw(), pauseMs)
  }

  #draw(): void {
    clearTimeout(this.#nextDraw)
    this.#nextDraw = undefined
    if (this.#agent === undefined) return
    const { columns, rows } = this.#screen
    const { version, gateway } = this.#options
    const { state, connectedSinceMs, rttMs, ports, tunnels } = this.#agent.status()
    const view = {
      ...{ version, gateway, state, connectedSinceMs, rttMs },
      tunnels: tunnels.map((route) => this.#tunnelView(route, ports)),
      problems: this.#problemLines(),
      requests: this.#requests,
    }
    const paper = { columns, rows, isColoured: this.#isColoured, nowMs: Date.now() }
    this.#screen.draw(drawView(view, paper))
  }

  #tunnelView(route: Route, ports: ReadonlyMap<string, number>): TunnelView {
    const { hostname, mode, target } = route
    const requests = this.#counts.get(canonicalName(hostname))
    const connections = this.#connections.get(hostname) ?? 0
    const isHttp = mode === 'http'
    return {
      address: isHttp ? `https://${hostname}` : addressOf(route, ports.get(hostname)),
      target: target.text,
      ...(isHttp && (requests !== undefined || connections === 0)
        ? { count: requests ?? 0, of: 'request' }
        : { count: connections, of: 'connection' }),
    }
  }
}

/** What the gateway counts by: tunnels for paths of one name share the name's number. */
function canonicalName(key: string): string {
  const { hostname } = parsePathRouteKey(key)
  return canonicalHostname(hostname) ?? hostname
}

/** `taken` is the port that the gateway took for it. */
function addressOf(route: Route, taken: number | undefined): string {
  const { hostname, listenPort } = route
  const port = taken ?? listenPort
  if (isPortRouteKey(route)) return `port ${port || 'of its own'}`
  return port === undefined ? hostname : `${hostname}, port ${port || 'of its own'}`
}
