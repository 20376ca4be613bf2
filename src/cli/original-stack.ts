/** Where an error came from, by the files as they were written: those that run are put together by build.js. */
import { readFileSync } from 'node:fs'
import { SourceMap } from 'node:module'

const position = /(file:\/\/[^\s()]+\.js):(\d+):(\d+)/g

/** The stack with positions in src/, as far as there are source maps. */
export function originalStack({ stack = '' }: Error): string {
  const maps = new Map<string, SourceMap | undefined>()
  return stack.replace(position, (built: string, url: string, line: string, column: string) => {
    if (!maps.has(url)) maps.set(url, mapOf(url))
    const found = maps.get(url)?.findEntry(Number(line) - 1, Number(column) - 1)
    if (found === undefined || !('originalSource' in found)) return built
    const file = found.originalSource.replace(/^(\.\.\/)+/, '')
    return `${file}:${found.originalLine + 1}:${found.originalColumn + 1}`
  })
}

function mapOf(url: string): SourceMap | undefined {
  try {
    return new SourceMap(JSON.parse(readFileSync(new URL(`${url}.map`), 'utf8')))
  } catch {
    return undefined
  }
}
