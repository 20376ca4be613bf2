import { randomUUID } from 'node:crypto'
import { valuesOf } from './headers.ts'

/**
 * What the request is called in our log, at its target and for its visitor. One that the visitor gives
 * is kept if it is fit for all three; else there is a new one.
 */
export function requestIdOf(rawHeaders: readonly string[]): string {
  const given = valuesOf(rawHeaders, 'x-request-id')
  return given.length === 1 && fit.test(given[0] ?? '') ? (given[0] as string) : randomUUID()
}

const fit = /^[\w.:+/=@-]{1,128}$/
