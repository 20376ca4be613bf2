import { readFileSync } from 'node:fs'

/** The program's version, as package.json has it. */
export function programVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}

/**
 * Says so when this line of Node gets no security fixes any more: 20 and what is before it, and the
 * odd lines, which ended with 25 (from 27 on every line is supported for years).
 */
export function endOfLifeNotice(nodeVersion: string): string | undefined {
  const line = Number(/^v?(\d+)/.exec(nodeVersion)?.[1])
  const isEnded = line <= 20 || (line % 2 === 1 && line < 27)
  return isEnded
    ? `Node ${line} gets no security fixes any more; use a supported one, such as 24`
    : undefined
}

/**
 * Whether this Node has the fixes without which HTTP/2 is no protocol for strangers (CVE-2026-56846,
 * CVE-2026-56848). Lines that have ended got none.
 */
export function hasPatchedHttp2(nodeVersion: string): boolean {
  const [line = 0, minor = 0] = nodeVersion.replace(/^v/, '').split('.').map(Number)
  const patchedSince = new Map([
    [22, 23],
    [24, 21],
    [26, 10],
  ])
  return line > 26 || minor >= (patchedSince.get(line) ?? Number.POSITIVE_INFINITY)
}
