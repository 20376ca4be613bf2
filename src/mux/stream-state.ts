import { MuxError } from './errors.ts'
import { Flag } from './frame.ts'

// Two independent questions about a stream are two values.
//
// Which halves are open:
//
//                     send FIN              receive FIN
//            ┌───────────────► sendClosed ───────────────┐
//     open ──┤                                            ├──► closed
//            └───────────────► receiveClosed ─────────────┘
//                  receive FIN               send FIN
//
// RST in either direction, or the end of the session, leads from anywhere to closed.
//
// Which flag we still owe the peer, to be sent on the stream's next frame:
//
//     opened by us:    queued ──► syn ──► (sent) unanswered ──► none, when its ACK arrives
//     opened by them:  ack ──► (sent) none

export type Halves = 'open' | 'sendClosed' | 'receiveClosed' | 'closed'

export type Owed =
  /** Ours; its SYN waits for one of the 256 places. Nothing may be sent. */
  | 'queued'
  /** Ours; the next frame carries SYN. */
  | 'syn'
  /** Ours; SYN is out, no answer yet. Data may go already. */
  | 'unanswered'
  /** Theirs; the next frame carries ACK. */
  | 'ack'
  | 'none'

export function canSend(halves: Halves): boolean {
  return halves === 'open' || halves === 'receiveClosed'
}

export function canReceive(halves: Halves): boolean {
  return halves === 'open' || halves === 'sendClosed'
}

/** Our FIN goes out. Twice would end the session at a Go peer, so a second one is a mistake of ours. */
export function afterFinSent(halves: Halves): Halves {
  if (!canSend(halves)) throw new Error(`FIN sent in state ${halves}`)
  return halves === 'open' ? 'sendClosed' : 'closed'
}

/** The peer's FIN. @throws MuxError MUX_BAD_STATE on a second one. */
export function afterFinReceived(halves: Halves, streamId: number): Halves {
  if (!canReceive(halves)) {
    throw new MuxError('MUX_BAD_STATE', `a second FIN on stream ${streamId}`)
  }
  return halves === 'open' ? 'receiveClosed' : 'closed'
}

/** The flag bits that the next frame must carry. */
export function flagsFor(owed: Owed): number {
  if (owed === 'syn') return Flag.Syn
  return owed === 'ack' ? Flag.Ack : 0
}

export function afterFlagsSent(owed: Owed): Owed {
  if (owed === 'syn') return 'unanswered'
  return owed === 'ack' ? 'none' : owed
}
