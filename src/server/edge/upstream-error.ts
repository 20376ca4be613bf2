import { type EdgeError, edgeErrors } from './error-page.ts'

/** What a visitor is told of an upstream stream, or a request on it, that failed before any response. */
export function upstreamErrorOf(error: { readonly code?: unknown }): EdgeError {
  const code = typeof error.code === 'string' ? error.code : ''
  // What each of the parsers says of an answer that it cannot read.
  if (code.startsWith('HTTP1_') || code === 'ERR_HTTP2_ERROR') return edgeErrors.targetBroken
  if (code === 'MUX_TOO_MANY_OPENS') return edgeErrors.agentBusy
  // Of the stream alone; any other of the multiplexer's errors is the session's, and the agent is gone.
  const isStreams = code.startsWith('MUX_STREAM_') || code === 'MUX_UNREAD_LIMIT'
  return code.startsWith('MUX_') && !isStreams ? edgeErrors.agentAway : edgeErrors.targetUnreachable
}
