import { CodedError } from '../errors.ts'

export type ClientErrorCode =
  /** The gateway could not be dialled; `cause` says why. */
  | 'CLIENT_DIAL_FAILED'
  /** The gateway refused the registration; `refusal` says why, and whether trying again can help. */
  | 'CLIENT_REFUSED'
  /** The gateway ended the session and said why; `refusal` has it, and whether trying again can help. */
  | 'CLIENT_ENDED'
  /** Another agent with our token and our id has taken over. */
  | 'CLIENT_REPLACED'
  /** The gateway did not answer the registration in time. */
  | 'CLIENT_NO_ANSWER'
  /** The gateway sent no heartbeat for too long. */
  | 'CLIENT_GATEWAY_SILENT'
  /** The gateway ended the session, or the transport was lost. */
  | 'CLIENT_GATEWAY_GONE'
  /** The gateway admitted us, and does not know of rules that our tunnels have. */
  | 'CLIENT_GATEWAY_TOO_OLD'
  /** The gateway sent something on the control stream that is no message. */
  | 'CLIENT_GATEWAY_BROKEN'
  /** We ended the tunnel, before all its streams had finished. */
  | 'CLIENT_CLOSED'
  /** A stream came without a readable preamble. */
  | 'CLIENT_BAD_PREAMBLE'
  /** A stream came for a hostname that we did not register. */
  | 'CLIENT_NO_ROUTE'
  /** The local target could not be reached. */
  | 'CLIENT_TARGET_UNREACHABLE'
  /** The local target answered, with a certificate that is not trusted. */
  | 'CLIENT_TARGET_UNTRUSTED'
  /** A connection that we had made to a tunnel broke before both directions had ended. */
  | 'CLIENT_CONNECTION_BROKEN'
  /** The local side of such a connection did. */
  | 'CLIENT_LOCAL_BROKEN'

/** Why a gateway refused a registration, or ended a session. */
export interface Refusal {
  /** The gateway's own words. */
  readonly text: string
  /** An `AckCode`, or one that only a newer gateway knows; a Go gateway sends none. */
  readonly code: string | undefined
  /** Whether trying again can change nothing. */
  readonly isFinal: boolean
  /** Unix time by the gateway's clock, where it told it. */
  readonly gatewayTimeMs?: number | undefined
}

export class ClientError extends CodedError<ClientErrorCode> {
  /** With CLIENT_REFUSED and CLIENT_ENDED only. */
  readonly refusal: Refusal | undefined

  constructor(
    code: ClientErrorCode,
    message: string,
    options: ErrorOptions & { refusal?: Refusal } = {},
  ) {
    super(code, message, options)
    this.refusal = options.refusal
  }
}
