import { execFileSync } from 'node:child_process'
import path from 'node:path'
import { type Contestant, compare, cpuSeconds, row } from '../measure.ts'
import { libp2p, type Mux, ours, sendRaw } from './contestants.ts'
import { goPeer } from './go-peer.ts'
import { connect, type TransportName, transportNames } from './transports.ts'

const MiB = 1024 * 1024

/**
 * The multiplexer beside others, both ends in one process, per second of CPU that the two ends take
 * together: the wall clock would measure how many cores a runtime can keep busy.
 */
export async function benchMux({ rounds }: { rounds: number }): Promise<void> {
  const go = await goPeer()
  const names = ['ours', 'libp2p', ...(go ? ['hashicorp (Go)'] : []), 'transport alone']
  console.log(`| case | ${names.join(' | ')} |\n|${' --- |'.repeat(names.length + 1)}`)
  for (const transport of transportNames) {
    for (const streams of [1, 8, 256]) {
      const figures = await compare(
        {
          ours: inProcess(ours, transport, 512 * MiB, (mux, amount) =>
            mux.send(streams, amount / streams),
          ),
          libp2p: inProcess(libp2p, transport, 64 * MiB, (mux, amount) =>
            mux.send(streams, amount / streams),
          ),
          ...(go && { go: () => go('send', transport, streams, 512 * MiB) }),
          transport: raw(transport, 512 * MiB),
        },
        rounds,
      )
      console.log(row(`send, ${transport}, ${streams} streams`, figures, perSecond('MB', 1e6)))
    }
  }
  for (const streams of [1, 64]) {
    const pingPong = (mux: Mux, times: number) => mux.pingPong(streams, 64, times / streams)
    const figures = await compare(
      {
        ours: inProcess(ours, 'tcp', 25_600, pingPong),
        libp2p: inProcess(libp2p, 'tcp', 12_800, pingPong),
        ...(go && { go: () => go('ping-pong', 'tcp', streams, 25_600) }),
      },
      rounds,
    )
    console.log(row(`64 B there and back, tcp, ${streams} streams`, figures, perSecond('trips', 1)))
  }
  const openClose = (mux: Mux, times: number) => mux.openClose(times)
  const figures = await compare(
    {
      ours: inProcess(ours, 'tcp', 10_000, openClose),
      libp2p: inProcess(libp2p, 'tcp', 5_000, openClose),
      ...(go && { go: () => go('open-close', 'tcp', 1, 10_000) }),
    },
    rounds,
  )
  console.log(row('open, one byte, close, tcp', figures, perSecond('opens', 1)))
  const allocated = ['ours', 'libp2p'].map((name) => `${allocatedAFrame(name)} bytes`)
  console.log(`| allocated a frame of 64 B, pair | ${allocated.join(' | ')} |`)
}

function allocatedAFrame(name: string): string {
  const program = path.join(import.meta.dirname, 'allocation.js')
  const flags = ['--expose-gc', '--min-semi-space-size=512', '--max-semi-space-size=512']
  return execFileSync(process.execPath, [...flags, program, name], { encoding: 'utf8' }).trim()
}

function inProcess(
  make: (ends: Awaited<ReturnType<typeof connect>>) => Mux,
  transport: TransportName,
  amount: number,
  work: (mux: Mux, amount: number) => Promise<void>,
): Contestant {
  return async () => {
    const mux = make(await connect(transport))
    const seconds = await cpuSeconds(() => work(mux, amount))
    mux.close()
    return { amount, seconds }
  }
}

function raw(transport: TransportName, amount: number): Contestant {
  return async () => {
    const ends = await connect(transport)
    return { amount, seconds: await cpuSeconds(() => sendRaw(ends, amount)) }
  }
}

function perSecond(unit: string, size: number): (n: number) => string {
  return (n) => `${Math.round(n / size).toLocaleString('en')} ${unit}/s`
}
