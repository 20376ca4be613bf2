// The Yamux frame, version 0 (yamux spec, "Framing"): everything on the wire is one of these.
//
//    0        1        2        4                 8                 12
//    ┌────────┬────────┬────────┬─────────────────┬─────────────────┬─ ─ ─ ─ ─ ─ ─ ─┐
//    │version │  type  │ flags  │    stream id    │     length      │  payload       │
//    └────────┴────────┴────────┴─────────────────┴─────────────────┴─ ─ ─ ─ ─ ─ ─ ─┘
//       u8        u8      u16 BE       u32 BE            u32 BE         Data only
//
// The life of a stream; either side may be the one that opens it, and either ends first:
//
//    WindowUpdate SYN  ──►                        or Data with SYN; Data may follow at once
//                      ◄──  WindowUpdate ACK      at once
//    Data              ──►                        up to the credit
//                      ◄──  WindowUpdate          more credit, as its reader reads
//    WindowUpdate FIN  ──►                        or Data with FIN, behind its payload
//                      ◄──  Data, …
//                      ◄──  WindowUpdate FIN      over: the id is not used again
//
// RST in the place of any of these ends it at once, and is not answered.

export const PROTOCOL_VERSION = 0
export const HEADER_BYTES = 12

/** What the frame is, and what its length field means. */
export const FrameType = {
  Data: 0x0, //         bytes of payload that follow
  WindowUpdate: 0x1, // credit added to what the receiver of this frame may send
  Ping: 0x2, //         an opaque value, echoed in the answer
  GoAway: 0x3, //       a GoAwayCode
} as const
export type FrameType = (typeof FrameType)[keyof typeof FrameType]

/** Bits of the flags field. On Data and WindowUpdate they speak of the stream. */
export const Flag = {
  Syn: 0x1, // opens the stream; on a Ping: asks
  Ack: 0x2, // accepts the stream; on a Ping: answers, with the value that was asked
  Fin: 0x4, // half-close: the sender will send no more payload
  Rst: 0x8, // the stream is gone at once, both ways
} as const

/** Why a session ends (yamux spec, "Session termination"). */
export const GoAwayCode = {
  Normal: 0,
  ProtocolError: 1,
  InternalError: 2,
} as const
export type GoAwayCode = (typeof GoAwayCode)[keyof typeof GoAwayCode]

/** The id of no stream: Ping and GoAway speak of the session. Streams of a client are odd from 1, of a server even. */
export const SESSION_ID = 0
export const MAX_STREAM_ID = 0xffff_ffff

/** Each direction of each stream starts with this much credit (yamux spec, "Flow control"). */
export const INITIAL_WINDOW_BYTES = 256 * 1024
/** Credit is a u32 in every implementation; more than this at once overflows a peer's arithmetic. */
export const MAX_WINDOW_BYTES = 0xffff_ffff

export interface FrameHeader {
  readonly version: number
  readonly type: number
  readonly flags: number
  readonly streamId: number
  readonly length: number
}

/** Writes the 12 bytes of a header into `into` at `at`. Plain stores: this runs once a frame. */
export function encodeHeader(
  into: Uint8Array,
  at: number,
  type: FrameType,
  flags: number,
  streamId: number,
  length: number,
): void {
  into[at] = PROTOCOL_VERSION
  into[at + 1] = type
  into[at + 2] = flags >>> 8
  into[at + 3] = flags
  writeU32(into, at + 4, streamId)
  writeU32(into, at + 8, length)
}

/** Reads the 12 bytes at `at`, as they are: what they may say is the decoder's business. */
export function decodeHeader(from: Uint8Array, at = 0): FrameHeader {
  return {
    version: from[at] as number,
    type: from[at + 1] as number,
    flags: ((from[at + 2] as number) << 8) | (from[at + 3] as number),
    streamId: readU32(from, at + 4),
    length: readU32(from, at + 8),
  }
}

function writeU32(into: Uint8Array, at: number, value: number): void {
  into[at] = value >>> 24
  into[at + 1] = value >>> 16
  into[at + 2] = value >>> 8
  into[at + 3] = value
}

function readU32(from: Uint8Array, at: number): number {
  return (
    (((from[at] as number) << 24) |
      ((from[at + 1] as number) << 16) |
      ((from[at + 2] as number) << 8) |
      (from[at + 3] as number)) >>>
    0
  )
}
