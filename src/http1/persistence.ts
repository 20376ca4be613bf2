/**
 * Whether the connection goes on behind a message, by the message's own word (RFC 9112 §9.3).
 * `connectionTokens`: those of its Connection lines, in lower case.
 */
export function isPersistent(httpVersion: string, connectionTokens: string): boolean {
  if (/\bclose\b/.test(connectionTokens)) return false
  return httpVersion === '1.1' || /\bkeep-alive\b/.test(connectionTokens)
}
