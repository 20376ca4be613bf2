import type { Visit } from './visits/visit.ts'

/** As long as a mobile line may be gone for a moment, and uploads be made faster by what is in buffers. */
const windowMs = 20_000

export interface SlowUploadOptions {
  /** Bytes a second that are enough; 0: any number is. */
  readonly minRate: number
  /** Whether it is the target that takes no more at the moment. */
  readonly isHeldUp: () => boolean
  readonly onSlow: () => void
}

/**
 * Tells, once, when a visitor sends a body of known length so slowly that it must be on purpose: such
 * requests keep a place at the target for hours, with hardly a byte. Bodies without a length may be streams of
 * events, and have only the idle time. What it gives ends the watch.
 */
export function watchUpload(
  visit: Pick<Visit, 'bytesIn'>,
  { minRate, isHeldUp, onSlow }: SlowUploadOptions,
): () => void {
  if (minRate === 0) return () => {}
  const enough = (minRate * windowMs) / 1000
  let bytesBefore = visit.bytesIn
  const timer = setInterval(() => {
    const bytes = visit.bytesIn - bytesBefore
    bytesBefore += bytes
    if (bytes >= enough || isHeldUp()) return
    clearInterval(timer)
    onSlow()
  }, windowMs)
  return () => clearInterval(timer)
}
