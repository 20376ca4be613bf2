/** A time for people: `2026-12-21 15:00:00 UTC, in 30 days`. */
export function moment(sec: number, nowSec: number): string {
  const date = new Date(sec * 1000)
  if (Number.isNaN(date.getTime())) return `${sec} s after 1970`
  const at = `${date.toISOString().slice(0, 19).replace('T', ' ')} UTC`
  const distance = inWords(Math.abs(sec - nowSec))
  return sec > nowSec ? `${at}, in ${distance}` : `${at}, ${distance} ago`
}

function inWords(sec: number): string {
  const [unit, word] = units.find(([unit]) => sec >= 2 * unit) ?? [1, 'seconds']
  return sec < 2 ? 'a second' : `${Math.round(sec / unit)} ${word}`
}

/** From two of a unit on: `36 hours` says more than `2 days`. */
const units = [
  [86_400, 'days'],
  [3_600, 'hours'],
  [60, 'minutes'],
] as const
