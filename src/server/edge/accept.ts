/**
 * The one of the types that an Accept header likes best (RFC 9110 §12.5.1), of several the first.
 * Undefined where it asks for none of them, or only for whatever there is.
 */
export function preferredType<Type extends string>(
  accept: string,
  types: readonly Type[],
): Type | undefined {
  const ranges = accept.slice(0, longestAccept).split(',').map(parseRange)
  let best: Type | undefined
  let bestWeight = 0
  for (const type of types) {
    const weight = weightOf(type, ranges)
    if (weight > bestWeight) [best, bestWeight] = [type, weight]
  }
  return best
}

interface MediaRange {
  readonly range: string
  readonly weight: number
}

function parseRange(text: string): MediaRange {
  const [range = '', ...parameters] = text.split(';').map((part) => part.trim().toLowerCase())
  const quality = parameters.find((parameter) => parameter.startsWith('q='))?.slice(2)
  const weight = quality === undefined ? 1 : Number(quality)
  return { range, weight: weight >= 0 && weight <= 1 ? weight : 0 }
}

/** By the most exact of the ranges that the type is in; 0 where it is in none. */
function weightOf(type: string, ranges: readonly MediaRange[]): number {
  for (const candidate of [type, `${type.split('/', 1)[0]}/*`]) {
    const found = ranges.find(({ range }) => range === candidate)
    if (found !== undefined) return found.weight
  }
  return 0
}

/** Browsers send some 150 characters. */
const longestAccept = 1_000
