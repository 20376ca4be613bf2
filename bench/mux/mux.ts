import { execFileSync } from 'node:child_process'
import path from 'node:path'
import {
  type Contestant,
  compare,
  cpuSeconds,
  type Metric,
  type Result,
  type Suite,
  suiteOf,
} from '../measure.ts'
import { libp2p, type Mux, ours, sendRaw } from './contestants.ts'
import { goPeer } from './go-peer.ts'
import { connect, type TransportName, transportNames } from './transports.ts'

const MiB = 1024 * 1024

/**
 * The multiplexer beside others, both ends in one process, per second of CPU that the two ends take
 * together: the wall clock would measure how many cores a runtime can keep busy.
 */
export const muxSuite: Suite = suiteOf({
  send,
  'ping-pong': pingPong,
  'open-close': openClose,
  allocation,
})

async function* send(rounds: number): AsyncGenerator<Result> {
  const go = await goPeer()
  for (const transport of transportNames) {
    for (const streams of [1, 8, 256]) {
      const work = (mux: Mux, amount: number) => mux.send(streams, amount / streams)
      yield* await compare(
        [more(`send, ${transport}, ${streams} streams`, 'MB/s')],
        {
          ours: inProcess(ours, transport, 512 * MiB, work, 1e6),
          libp2p: inProcess(libp2p, transport, 64 * MiB, work, 1e6),
          ...(go && {
            'hashicorp (Go)': async () => [(await go('send', transport, streams, 512 * MiB)) / 1e6],
          }),
          'transport alone': raw(transport, 512 * MiB),
        },
        rounds,
      )
    }
  }
}

async function* pingPong(rounds: number): AsyncGenerator<Result> {
  const go = await goPeer()
  for (const streams of [1, 64]) {
    const work = (mux: Mux, times: number) => mux.pingPong(streams, 64, times / streams)
    yield* await compare(
      [more(`64 B there and back, tcp, ${streams} streams`, 'trips/s')],
      {
        ours: inProcess(ours, 'tcp', 25_600, work),
        libp2p: inProcess(libp2p, 'tcp', 12_800, work),
        ...(go && {
          'hashicorp (Go)': async () => [await go('ping-pong', 'tcp', streams, 25_600)],
        }),
      },
      rounds,
    )
  }
}

async function* openClose(rounds: number): AsyncGenerator<Result> {
  const go = await goPeer()
  const work = (mux: Mux, times: number) => mux.openClose(times)
  yield* await compare(
    [more('open, one byte, close, tcp', 'opens/s')],
    {
      ours: inProcess(ours, 'tcp', 10_000, work),
      libp2p: inProcess(libp2p, 'tcp', 5_000, work),
      ...(go && { 'hashicorp (Go)': async () => [await go('open-close', 'tcp', 1, 10_000)] }),
    },
    rounds,
  )
}

async function* allocation(rounds: number): AsyncGenerator<Result> {
  yield* await compare(
    [{ name: 'allocated a frame of 64 B, pair', unit: 'bytes', better: 'less' }],
    {
      ours: async () => [allocatedAFrame('ours')],
      libp2p: async () => [allocatedAFrame('libp2p')],
    },
    rounds,
  )
}

function more(name: string, unit: string): Metric {
  return { name, unit, better: 'more' }
}

function allocatedAFrame(name: string): number {
  const program = path.join(import.meta.dirname, 'allocation.js')
  const flags = ['--expose-gc', '--min-semi-space-size=512', '--max-semi-space-size=512']
  return Number(execFileSync(process.execPath, [...flags, program, name], { encoding: 'utf8' }))
}

function inProcess(
  make: (ends: Awaited<ReturnType<typeof connect>>) => Mux,
  transport: TransportName,
  amount: number,
  work: (mux: Mux, amount: number) => Promise<void>,
  unit = 1,
): Contestant {
  return async () => {
    const mux = make(await connect(transport))
    const seconds = await cpuSeconds(() => work(mux, amount))
    mux.close()
    return [amount / seconds / unit]
  }
}

function raw(transport: TransportName, amount: number): Contestant {
  return async () => {
    const ends = await connect(transport)
    return [amount / (await cpuSeconds(() => sendRaw(ends, amount))) / 1e6]
  }
}
