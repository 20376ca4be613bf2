import { statSync } from 'node:fs'

const pollMs = 1_000

/**
 * Tells when a file has changed and then rested for a moment, so that nobody reads half of it. It is looked at
 * rather than watched, as a watch says nothing in a container's bind mount, and once the file was replaced. Gives
 * what stops it.
 */
export function watchFile(file: string, onChange: () => void): () => void {
  let told = signatureOf(file)
  let last = told
  const timer = setInterval(() => {
    const signature = signatureOf(file)
    const hasRested = signature === last
    last = signature
    if (!hasRested || signature === undefined || signature === told) return
    told = signature
    onChange()
  }, pollMs)
  timer.unref()
  return () => clearInterval(timer)
}

/** Undefined while there is none: an editor may be about to put a new one in its place. */
function signatureOf(file: string): string | undefined {
  try {
    const { ino, size, mtimeNs, ctimeNs } = statSync(file, { bigint: true })
    return [ino, size, mtimeNs, ctimeNs].join(':')
  } catch {
    return undefined
  }
}
