/** Limits and times of a session. The defaults fit a hashicorp/yamux 0.1.2 peer with its defaults. */
export interface MuxOptions {
  /** How often we ask whether the peer is there, and how far away; 0 never does, and then no window grows. */
  readonly pingIntervalMs: number
  /** How long a ping may stay unanswered. Ours for liveness ends the session only if nothing else arrives either. */
  readonly pingTimeoutMs: number
  /** How long the transport may take no bytes. */
  readonly writeTimeoutMs: number
  /** How long the peer may leave a stream of ours unaccepted. */
  readonly openTimeoutMs: number
  /** How long a half-closed stream may stay silent before it is reset. */
  readonly closeTimeoutMs: number
  /** Streams of ours that the peer has not accepted yet; a Go peer resets those beyond 256. */
  readonly maxUnansweredOpens: number
  /** Streams of ours that wait for such a place. */
  readonly maxQueuedOpens: number
  /** Streams that the peer may have open at once; those beyond are reset. */
  readonly maxPeerStreams: number
  /** Payload of one data frame: what one stream may send before the next has its turn. */
  readonly maxFrameBytes: number
  /** How far one stream's receive window may grow. */
  readonly maxWindowBytes: number
  /** How far all receive windows may grow, beyond the first 256 KiB of each. */
  readonly maxWindowGrowthBytes: number
  /** Unread bytes of all streams; beyond it the stream that holds the most is reset. */
  readonly maxUnreadBytes: number
  /**
   * Answers to the peer (pongs, resets) that wait for a transport which does not drain, beyond one
   * reset for each stream that it may have.
   */
  readonly maxQueuedAnswers: number
  /** What a peer may send of frames that cost us work and carry nothing: a burst, and a rate after it. */
  readonly floodLimits: FloodLimits
}

export interface FloodLimits {
  readonly pings: RateLimit
  /** Streams that the peer opened and reset before we had sent anything on them. */
  readonly rapidResets: RateLimit
  /** Data without payload, credit of a few bytes, frames for streams that we do not know. */
  readonly idleFrames: RateLimit
}

export interface RateLimit {
  readonly burst: number
  readonly perSecond: number
}

export const defaultOptions: MuxOptions = {
  pingIntervalMs: 7_500, // with the time for the answer: a dead line is noticed within 20 s
  pingTimeoutMs: 10_000,
  writeTimeoutMs: 30_000,
  openTimeoutMs: 75_000,
  closeTimeoutMs: 300_000,
  maxUnansweredOpens: 256,
  maxQueuedOpens: 16_384,
  maxPeerStreams: 20_000,
  maxFrameBytes: 64 * 1024,
  maxWindowBytes: 16 * 1024 * 1024,
  maxWindowGrowthBytes: 64 * 1024 * 1024,
  maxUnreadBytes: 256 * 1024 * 1024,
  maxQueuedAnswers: 10_000,
  // Guesses with room: an honest peer pings every few seconds, cancels some streams in a burst, and
  // sends a few late frames for each stream that we reset.
  floodLimits: {
    pings: { burst: 2_000, perSecond: 200 },
    rapidResets: { burst: 1_000, perSecond: 200 },
    idleFrames: { burst: 20_000, perSecond: 2_000 },
  },
}
