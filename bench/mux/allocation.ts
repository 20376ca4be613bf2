// How much memory a data frame costs, both ends together, payload aside: what the garbage collector has
// to clear away. Run by mux.ts in a process of its own, whose young generation is so large that nothing
// is collected while it counts.
import { PerformanceObserver } from 'node:perf_hooks'
import { libp2p, type Mux, ours } from './contestants.ts'
import { connect } from './transports.ts'

const frames = 20_000
/** Of a keystroke's size: what is counted is the frame's own cost. */
const messageBytes = 64

const make = { ours, libp2p }[process.argv[2] as 'ours' | 'libp2p']
let collections = 0
new PerformanceObserver((list) => (collections += list.getEntries().length)).observe({
  entryTypes: ['gc'],
})

const mux = make(await connect('pair'))
await roundTrips(mux, 2_000) // until everything is compiled
global.gc?.()
await new Promise((resolve) => setTimeout(resolve, 100)) // the observer hears of that one late
collections = 0
const before = used()
await roundTrips(mux, frames / 2) // each has a frame there and one back
const bytes = used() - before
await new Promise((resolve) => setTimeout(resolve, 100))
if (collections > 0) throw new Error('memory was collected while it was counted')
console.log(Math.round(bytes / frames))
process.exit(0)

function roundTrips(mux: Mux, times: number): Promise<void> {
  return mux.pingPong(1, messageBytes, times)
}

function used(): number {
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}
