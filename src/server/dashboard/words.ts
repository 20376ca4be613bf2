// Figures as people say them. The page is read at a glance: two units are enough.

/** `3 d 4 h`, `2 min 5 s`, `0 s`. assets/live.js says the same. */
export function durationWords(ms: number): string {
  let rest = Math.max(0, Math.floor(ms / 1000))
  const words: string[] = []
  for (const [unit, seconds] of UNITS) {
    const count = Math.floor(rest / seconds)
    rest -= count * seconds
    if (count > 0) words.push(`${count} ${unit}`)
    else if (words.length > 0) break
  }
  return words.slice(0, 2).join(' ') || '0 s'
}

/** `512 B`, `1.5 MiB`. */
export function bytesWords(bytes: number): string {
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < BYTE_UNITS.length - 1) {
    value /= 1024
    unit += 1
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${BYTE_UNITS[unit]}`
}

/** `12,345`. */
export function countWords(count: number): string {
  return counts.format(count)
}

/** `0.4`, `12`, `12,345`: of what happens in a second. */
export function rateWords(rate: number): string {
  if (rate === 0) return '0'
  return rate < 0.05 ? '< 0.1' : rate < 10 ? rate.toFixed(1) : countWords(Math.round(rate))
}

/** `0.8 ms`, `12 ms`, `1.2 s`. */
export function millisecondWords(ms: number): string {
  if (ms >= 10_000) return `${Math.round(ms / 1000)} s`
  if (ms >= 1_000) return `${(ms / 1000).toFixed(1)} s`
  return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`
}

/** Strangers choose their own names; a page has room for this much of one. */
export function clipped(text: string): string {
  return text.length > LONGEST ? `${text.slice(0, LONGEST - 1)}…` : text
}

const UNITS = [
  ['d', 86_400],
  ['h', 3_600],
  ['min', 60],
  ['s', 1],
] as const
const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
const LONGEST = 120
const counts = new Intl.NumberFormat('en')
