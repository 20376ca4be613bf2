import { setTimeout as delay } from 'node:timers/promises'
import { cpuSecondsOf, residentKiB } from '../accounting.ts'
import type { Metric } from '../measure.ts'
import { download, h2load, upload, wrk } from './loads.ts'
import { downloadBytes } from './origin.ts'
import { firstByteMs, idleVisitors, webSocketEcho } from './visitors.ts'
import type { Way } from './ways.ts'

export interface Case {
  readonly metrics: readonly Metric[]
  /** The metrics of one way, in their order; undefined where the way has nothing of the kind. */
  readonly run: (way: Way) => Promise<readonly number[] | undefined>
  /** Of programs that have just been started, and once. */
  readonly isFresh?: boolean
  /** From the public side to the service, if that is far away. */
  readonly roundTripMs?: number
}

const seconds = 2
const GB = 1e9

/** By the names that `npm run bench -- tunnel/NAME` takes. */
export const tunnelCases: Readonly<Record<string, Case>> = {
  'get-1': gets('small GET, 1 connection', { connections: 1 }),
  'get-64': gets('small GET, 64 connections', { connections: 64 }),
  'get-512': gets('small GET, 512 connections', { connections: 512 }),
  handshakes: gets('a TLS connection a request', {
    connections: 16,
    header: 'Connection: close',
  }),
  '100k': gets('GET of 100 KB, 64 connections', { connections: 64, path: '/100k' }),
  download: transfers('1 GB down', (way) => download(way, '/1g')),
  upload: transfers('1 GB up', (way) => upload(way, downloadBytes)),
  downloads: transfers('16 × 64 MB down at once', (way) => download(way, '/64m', 16)),
  websocket: {
    metrics: [more('WebSocket echo of 100 B, 64 connections', 'messages/s')],
    run: async (way) => [await webSocketEcho(way, { connections: 64, seconds })],
  },
  http2: {
    metrics: [more('HTTP/2, 8 connections × 64 streams', 'requests/s')],
    async run(way) {
      if (!way.hasHttp2) return undefined
      const load = { connections: 8, streams: 64, requests: 20_000 }
      return [(await h2load(way, load)).perSecond]
    },
  },
  latency: {
    metrics: [less('first byte, p50', 'ms'), less('first byte, p99', 'ms')],
    async run(way) {
      const sorted = await firstByteMs(way, 200)
      return [sorted[99] ?? Number.NaN, sorted[197] ?? Number.NaN]
    },
  },
  distance: {
    ...transfers('256 MB down over 100 ms of round trip', (way) => download(way, '/256m'), 256),
    roundTripMs: 100,
  },
  memory: {
    metrics: [
      less('resident with one visitor: gateway', 'MiB'),
      less('resident with one visitor: agent', 'MiB'),
      less('an idle TLS visitor, of 5,000: gateway', 'KiB'),
      less('an idle TLS visitor, of 5,000: agent', 'KiB'),
    ],
    run: memory,
    isFresh: true,
  },
}

function gets(name: string, load: { connections: number; header?: string; path?: string }): Case {
  const { path = '/', ...rest } = load
  return {
    metrics: [
      more(name, 'requests/s'),
      less(`${name}: CPU a request, gateway`, 'µs'),
      less(`${name}: CPU a request, agent`, 'µs'),
    ],
    async run(way) {
      const used = accounting(way)
      const { requests, perSecond } = await wrk(way, path, { ...rest, seconds })
      return [perSecond, ...used().map((cpu) => (cpu * 1e6) / requests)]
    },
  }
}

function transfers(
  name: string,
  transfer: (way: Way) => Promise<number>,
  MiB = downloadBytes / 1024 ** 2,
): Case {
  const size = (MiB * 1024 ** 2) / GB
  return {
    metrics: [
      more(name, 'MB/s'),
      less(`${name}: CPU a GB, gateway`, 's'),
      less(`${name}: CPU a GB, agent`, 's'),
    ],
    async run(way) {
      const used = accounting(way)
      const took = await transfer(way)
      return [(size / took) * 1000, ...used().map((cpu) => cpu / size)]
    },
  }
}

/** What the way's gateway and agent take from now on; a way without an agent has one figure less. */
function accounting({ gateway, agent }: Way): () => number[] {
  const sides = [gateway, agent].filter((pids) => pids.length > 0)
  const before = sides.map(cpuSecondsOf)
  return () => sides.map((pids, at) => cpuSecondsOf(pids) - (before[at] ?? 0))
}

async function memory(way: Way): Promise<number[]> {
  const resident = () =>
    [way.gateway, way.agent].map((pids) => pids.reduce((sum, pid) => sum + residentKiB(pid), 0))
  const count = 5_000
  const first = await idleVisitors(way, 1)
  const before = resident()
  const sockets = await idleVisitors(way, count)
  await delay(1000) // for what is only garbage to be collected, in part
  const after = resident()
  for (const socket of [...first, ...sockets]) socket.destroy()
  const each = after.map((KiB, at) => (KiB - (before[at] ?? 0)) / count)
  return [...before.map((KiB) => KiB / 1024), ...each]
}

function more(name: string, unit: string): Metric {
  return { name, unit, better: 'more' }
}

function less(name: string, unit: string): Metric {
  return { name, unit, better: 'less' }
}
