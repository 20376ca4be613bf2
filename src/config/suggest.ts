/**
 * The candidate that was probably meant, if one is near enough: a third of its letters may be wrong,
 * or the share that is given. Case, hyphens and underscores are not letters here.
 */
export function closest(
  word: string,
  candidates: readonly string[],
  share = 1 / 3,
): string | undefined {
  let best: string | undefined
  let bestDistance = Number.POSITIVE_INFINITY
  const typed = plain(word)
  for (const candidate of candidates) {
    const meant = plain(candidate)
    const limit = Math.max(1, Math.floor(meant.length * share))
    if (Math.abs(meant.length - typed.length) > limit) continue
    const distance = editDistance(typed, meant)
    if (distance <= limit && distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

function plain(word: string): string {
  return word.toLowerCase().replace(/[-_\s]/g, '')
}

/** Letters to insert, delete, replace, or swap with their neighbour (optimal string alignment). */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i]
    for (let j = 1; j <= b.length; j += 1) {
      const isSame = a[i - 1] === b[j - 1]
      let cost = Math.min(at(last, j) + 1, at(row, j - 1) + 1, at(last, j - 1) + (isSame ? 0 : 1))
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        cost = Math.min(cost, at(beforeLast, j - 2) + 1)
      }
      row.push(cost)
    }
    beforeLast = last
    last = row
  }
  return at(last, b.length)
}

function at(row: readonly number[], index: number): number {
  return row[index] ?? Number.POSITIVE_INFINITY
}
