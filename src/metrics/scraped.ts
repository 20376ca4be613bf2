import { Counter, collectDefaultMetrics, Gauge, type Metric, Registry } from 'prom-client'

/** Values with the labels they have; without any, one number. */
export type Reading = number | Iterable<readonly [labels: Record<string, string>, value: number]>

/** A histogram as Prometheus has it: how many were no larger, bound by bound. */
export interface HistogramReading {
  readonly buckets: Iterable<{ readonly upTo: number; readonly count: number }>
  readonly count: number
  readonly sum: number
}

interface About {
  readonly name: string
  readonly help: string
  /** All that `read` gives have exactly these. */
  readonly labels?: readonly string[]
}

/** What Prometheus is told. Everything is read when it asks, so that nothing has to be counted for it. */
export class ScrapedMetrics {
  readonly #registry = new Registry()
  #isFirst = true

  get contentType(): string {
    return this.#registry.contentType
  }

  counter(about: About, read: () => Reading): void {
    new Counter({
      ...this.#options(about),
      collect() {
        this.reset()
        for (const [labels, value] of entriesOf(read())) this.inc(labels, value)
      },
    })
  }

  gauge(about: About, read: () => Reading): void {
    const { labels = [] } = about
    new Gauge({
      ...this.#options(about),
      collect() {
        this.reset()
        if (labels.length === 0) this.remove() // what has no labels is 0 then, and may be nothing
        for (const [labels, value] of entriesOf(read())) this.set(labels, value)
      },
    })
  }

  histogram({ name, help }: About, read: () => HistogramReading): void {
    const get = async () => {
      const { buckets, count, sum } = read()
      const values = [...buckets].map(({ upTo, count }) => bucket(name, String(upTo), count))
      values.push(
        bucket(name, '+Inf', count),
        { metricName: `${name}_sum`, labels: {}, value: sum },
        { metricName: `${name}_count`, labels: {}, value: count },
      )
      return { name, help, type: 'histogram', aggregator: 'sum', values }
    }
    // prom-client's own can only be filled value by value, on the hot path.
    this.#registry.registerMetric({ name, get, reset() {} } as unknown as Metric)
  }

  /** The text of all of them, and of the process: its memory, its event loop. */
  text(): Promise<string> {
    // Not before somebody wants them: these are measured all the time.
    if (this.#isFirst) {
      collectDefaultMetrics({ register: this.#registry, eventLoopMonitoringPrecision: 50 })
    }
    this.#isFirst = false
    return this.#registry.metrics()
  }

  #options({ name, help, labels = [] }: About) {
    return { name, help, labelNames: [...labels], registers: [this.#registry] }
  }
}

function entriesOf(reading: Reading): Iterable<readonly [Record<string, string>, number]> {
  return typeof reading === 'number' ? [[{}, reading]] : reading
}

function bucket(name: string, le: string, value: number) {
  const labels: Record<string, string> = { le }
  return { metricName: `${name}_bucket`, labels, value }
}
