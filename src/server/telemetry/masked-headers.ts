/** A header line that may be shown: what is or may hold a secret is not in it. */
export interface ShownHeader {
  readonly name: string
  readonly value: string
}

/** From a flat list, name before value. Rather one line too many is masked than one too few. */
export function maskedHeaders(lines: readonly string[]): ShownHeader[] {
  const shown: ShownHeader[] = []
  for (let index = 0; index + 1 < lines.length; index += 2) {
    const [name = '', value = ''] = lines.slice(index, index + 2)
    shown.push({ name, value: shownValue(name, value) })
  }
  return shown
}

function shownValue(name: string, value: string): string {
  if (secretNames.test(name)) return mask
  return value
    .slice(0, longestValue)
    .replace(jwt, mask)
    .replace(userInfo, `$1${mask}@`)
    .replace(urlNames.test(name) ? query : nothing, `?${mask}`)
}

const mask = '[secret]'
const longestValue = 500
const secretNames =
  /auth|cookie|token|secret|key|passw|session|signature|credential|csrf|xsrf|jwt|assertion/i
/** Their values are URLs, and a URL's query is masked as that of the request is. */
const urlNames = /^(referer|location|content-location|link|refresh|x-original-url|x-rewrite-url)$/i
const jwt = /\beyJ[\w-]+\.[\w-]+\.[\w-]*/g
const userInfo = /([a-z][a-z\d+.-]*:\/\/)[^/?#@\s]+@/gi
const query = /\?[^\s"'>#;]*/g
const nothing = /(?!)/
