/** In characters, all of them of ASCII. */
export const longestPrefix = 200

/**
 * The path that a route is for, without a slash at its end: `/api` is for itself and all that is beneath.
 * '' for `/`, which is for everything. Undefined for one that two servers could read differently: with an
 * empty segment, dots alone, an escape.
 */
export function canonicalPrefix(text: string): string | undefined {
  const path = text.replace(/\/$/, '')
  return path === '' || (text.length <= longestPrefix && form.test(path)) ? path : undefined
}

const form = /^(?:\/(?!\.{1,2}(?:\/|$))[\w.~!$&'()*+,=:@-]+)+$/
