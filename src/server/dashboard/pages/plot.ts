import { type Html, html } from '../html.ts'

export interface PlotOptions {
  readonly title: string
  readonly series: readonly Series[]
  /** Of as much time as there are values for, once it has passed. */
  readonly length: number
  readonly words: (value: number) => string
  /** 1024 for what is counted in KiB. */
  readonly base?: 10 | 1024
}

export interface Series {
  /** Absent where there is only one. */
  readonly name?: string
  /** The oldest first. */
  readonly values: readonly number[]
}

const width = 600
const height = 120
/** More are not seen. */
const pointCount = 180

/** The last hour of something, up to now. What it shows is also said. */
export function plot({ title, series, length, words, base = 10 }: PlotOptions): Html {
  const per = Math.max(1, Math.round(length / pointCount))
  const lines = series.map(({ values }) => means(values, per))
  const highest = lines.flat().reduce((max, value) => Math.max(max, value), 0)
  const top = roundUp(highest, base)
  const now = series.map(({ name, values }) => {
    return `${name === undefined ? '' : `${name} `}${words(values.at(-1) ?? 0)}`
  })
  const summary = `${title}: now ${now.join(', ')}; at most ${words(highest)} in the last hour`
  const step = width / (Math.ceil(length / per) - 1)
  return html`<figure class="card plot">
<figcaption><span>${title}</span><b>${now.join(' · ')}</b></figcaption>
<div class="canvas"><svg viewBox="0 0 ${width} ${height}" preserveAspectRatio="none" role="img" aria-label="${summary}">
<path class="grid" d="M0 ${height / 2}H${width}M0 0.5H${width}"/>
${lines.map((values, index) => html`<path class="area s${index}" d="${areaOf(values, top, step)}"/><path class="line s${index}" d="${lineOf(values, top, step)}"/>`)}
</svg><span>${words(top)}</span></div>
<div class="axis" aria-hidden="true"><span>1 h ago</span><span>30 min</span><span>now</span></div>
</figure>`
}

/** A line without words, for a row. */
export function sparkline(values: readonly number[], label: string): Html | undefined {
  if (values.length < 2) return undefined
  const top = Math.max(...values) * 1.1 || 1
  const step = 100 / (values.length - 1)
  const points = values.map((value, index) => {
    return `${(index * step).toFixed(1)} ${(24 - (value / top) * 24).toFixed(1)}`
  })
  return html`<svg class="spark" viewBox="0 0 100 24" preserveAspectRatio="none" role="img" aria-label="${label}"><path class="line s0" d="M${points.join('L')}"/></svg>`
}

function means(values: readonly number[], per: number): number[] {
  const result: number[] = []
  // Counted from the end, so that the newest are always whole.
  for (let end = values.length; end > 0; end -= per) {
    const part = values.slice(Math.max(0, end - per), end)
    result.unshift(part.reduce((sum, value) => sum + value, 0) / part.length)
  }
  return result
}

function lineOf(values: readonly number[], top: number, step: number): string {
  const start = width - (values.length - 1) * step
  const points = values.map((value, index) => {
    const x = Math.max(0, start + index * step)
    return `${x.toFixed(1)} ${(height - (value / top) * height).toFixed(1)}`
  })
  return points.length === 0 ? '' : `M${points.join('L')}`
}

function areaOf(values: readonly number[], top: number, step: number): string {
  if (values.length === 0) return ''
  const start = Math.max(0, width - (values.length - 1) * step)
  return `${lineOf(values, top, step)}V${height}H${start.toFixed(1)}Z`
}

/** To 1, 2 or 5 and noughts: labels that can be read. */
function roundUp(value: number, base: 10 | 1024): number {
  if (value <= 0) return 1
  const power = base ** Math.floor(Math.log(value) / Math.log(base))
  const step = [1, 2, 5, 10, 20, 50, 100, 200, 500].find((each) => each * power >= value)
  return (step ?? base) * power
}
