import type { EdgeError } from './error-page.ts'
import { edgeErrors, sendError } from './error-page.ts'
import type { Visit } from './visits/visit.ts'

/** What is at the gateway's own name. Answers the request, and calls back when that is over. */
export type OwnPages = (visit: Visit, request: OwnRequest) => void

export interface OwnRequest {
  readonly remoteAddress: string
  readonly requestId: string
  readonly onDone: (outcome: 'whole' | 'refused' | 'aborted', error?: EdgeError) => void
}

/** A word for those who wonder what is here, and nothing else. */
export const wordOnly: OwnPages = (visit, { requestId, onDone }) => {
  const { method, url } = visit.head
  const isAsked = (method === 'GET' || method === 'HEAD') && url.split('?', 1)[0] === '/'
  const error = isAsked ? undefined : edgeErrors.notFound
  visit.handler = { onClose: () => onDone(error ? 'refused' : 'whole', error) }
  if (error) {
    sendError(visit, error, requestId)
    return
  }
  const lines = [
    ...['Content-Type', 'text/plain; charset=utf-8'],
    ...['Content-Length', String(Buffer.byteLength(words))],
    ...['X-Content-Type-Options', 'nosniff'],
  ]
  visit.respond({ status: 200, lines })
  if (method !== 'HEAD') visit.write(Buffer.from(words))
  visit.end()
}

const words = `This is a gotunnel gateway.

It makes private services reachable at public names. Nothing is served at this name itself.
`
