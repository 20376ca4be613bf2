import { randomBytes } from 'node:crypto'
import { bearerOf } from '../auth/identity.ts'
import type { MuxStream, Session } from '../mux/index.ts'
import { type Ack, AckError, type Message, type Updated } from '../protocol/messages.ts'
import { CAPABILITIES } from '../protocol/version.ts'
import type { Owner } from '../registry/owner.ts'
import { readMessages, sendLast, sendMessage } from './control.ts'
import { reasonOf, ServerError } from './errors.ts'
import { checkRevoked, identify, isFailedAttempt, type TokenPolicy } from './identify.ts'
import { offeredRoutes, Refusal, refusalOf } from './offer.ts'
import { claim, outcomeOf, prepare, type Registration, statusOf } from './registration.ts'
import { Tunnel } from './tunnel.ts'
import { type UpdateOptions, update } from './update.ts'

/** For the first stream, and again for the first message on it. */
export const registerTimeoutMs = 10_000
/** For a refusal to leave. */
const refusalTimeoutMs = 5_000

export interface AdmissionOptions extends TokenPolicy, UpdateOptions {
  /** Why no agent is taken at the moment, if so. Asked when the agent has said who it is. */
  readonly refusal?: (owner: Owner) => Refusal | undefined
  readonly remoteAddress: string
  /** Called for a bad token; when it resolves, the agent is told. */
  readonly onFailedAttempt?: () => Promise<void>
  /** Called in the tick an agent is admitted; it has its names by then, also from a session that it had before. */
  readonly onStart: (tunnel: Tunnel) => void
  /** Called when an agent wanted to change its tunnels, with what it is told. */
  readonly onUpdate?: (tunnel: Tunnel, answer: Updated) => void
  /** Called once, in the tick the session of an admitted agent ends; its names are free by then. */
  readonly onEnd: (tunnel: Tunnel, reason: Error | undefined) => void
}

/**
 * Makes a tunnel of a new session: its first stream is the control stream, the first message there
 * is `register`; who it is and what it claims decide. Must be called in the tick the session was made.
 *
 * Fails with SERVER_REGISTER_REFUSED (the agent was told why; the cause is the Refusal),
 * SERVER_REGISTER_TIMEOUT, or with the session's error. The session has ended then, and nothing is
 * left of it.
 */
export async function admit(session: Session, options: AdmissionOptions): Promise<Tunnel> {
  const control = await inTime(session, firstStream(session))
  const messages = readMessages(control)
  try {
    const first = await inTime(session, messages.next())
    if (first.done) throw new Refusal('BAD_REGISTER', AckError.badRegister)
    return await register(session, control, first.value, messages, options)
  } catch (error) {
    if (session.isClosed) throw reasonOf(error as Error)
    const refusal = refusalOf(error)
    if (isFailedAttempt(refusal)) await options.onFailedAttempt?.()
    await refuse(control, refusal)
    const reason = new ServerError('SERVER_REGISTER_REFUSED', refusal.message, { cause: refusal })
    session.destroy(reason)
    throw reason
  }
}

async function register(
  session: Session,
  control: MuxStream,
  message: Message,
  messages: AsyncIterable<Message>,
  options: AdmissionOptions,
): Promise<Tunnel> {
  if (message.type !== 'register') throw new Refusal('BAD_REGISTER', AckError.badRegister)
  const { registry, remoteAddress } = options
  const identity = identify(message.token, options)
  const offered = offeredRoutes(message, options.ownNames)
  const { agent: info = {}, capabilities } = message
  const owner = { bearer: bearerOf(identity), agentId: info.id || undefined }
  checkWelcome(session, owner, options)
  const registration = await prepare(owner, offered, identity.scope, options)

  // From here on all in one tick, so that nothing of the agent's is there before its claims are.
  const id = randomBytes(6).toString('hex')
  const tunnel = new Tunnel({
    ...{ id, session, control, messages, owner },
    ...{ identity, info, capabilities, remoteAddress },
  })
  try {
    checkWelcome(session, owner, options)
    checkRevoked(identity, options)
    claim(registration, tunnel, registry)
  } catch (error) {
    options.ports.close(registration.ports.values())
    throw error
  }
  // Ports that are claimed close with the release of their names.
  tunnel.show(statusOf(registration))
  tunnel.start({
    onUpdate: async (message) => {
      const answer = await update(tunnel, message, options)
      options.onUpdate?.(tunnel, answer)
      return answer
    },
    onEnd: (reason) => {
      if (isExpelled(reason)) registry.release(tunnel)
      else registry.reserve(tunnel)
      options.onEnd(tunnel, reason)
    },
  })
  // An agent that takes no new streams serves the names no more; another one may, from now on.
  session.once('goAway', () => registry.release(tunnel))
  options.onStart(tunnel)
  sendMessage(control, ackOf(id, registration))
  return tunnel
}

/** @throws Refusal, or ServerError SERVER_CONTROL_ENDED for an agent that is leaving already. */
function checkWelcome(session: Session, owner: Owner, { refusal: ask }: AdmissionOptions): void {
  if (!session.canOpen) throw new ServerError('SERVER_CONTROL_ENDED', 'the session ended')
  const refusal = ask?.(owner)
  if (refusal !== undefined) throw refusal
}

/** Nothing is kept for one who is to stay away. */
function isExpelled(reason: Error | undefined): boolean {
  return reason instanceof ServerError && reason.code === 'SERVER_TOKEN_REVOKED'
}

function ackOf(session: string, registration: Registration): Ack {
  const ts = Date.now()
  return {
    ...{ type: 'ack', ok: true, capabilities: CAPABILITIES, session, ts },
    ...outcomeOf(registration),
  }
}

/** The control stream. Whatever else the agent opens is reset. */
function firstStream(session: Session): Promise<MuxStream> {
  return new Promise((resolve, reject) => {
    let control: MuxStream | undefined
    session.on('stream', (stream) => {
      stream.on('error', () => {}) // whoever reads it has the error, and so has the session's end
      if (control === undefined) resolve((control = stream))
      else stream.destroy()
    })
    session.once('close', (error) => {
      reject(
        reasonOf(error) ?? new ServerError('SERVER_CONTROL_ENDED', 'the session ended at once'),
      )
    })
  })
}

/** A timer for each wait: the session ends with it, and what was waited for fails. */
async function inTime<T>(session: Session, wait: Promise<T>): Promise<T> {
  const timer = setTimeout(() => {
    const seconds = registerTimeoutMs / 1000
    session.destroy(
      new ServerError('SERVER_REGISTER_TIMEOUT', `no register message within ${seconds} s`),
    )
  }, registerTimeoutMs)
  try {
    return await wait
  } finally {
    clearTimeout(timer)
  }
}

function refuse(control: MuxStream, { code, message: error }: Refusal): Promise<void> {
  const ack: Ack = {
    type: 'ack',
    ok: false,
    error,
    code,
    capabilities: CAPABILITIES,
    ts: Date.now(),
  }
  return sendLast(control, ack, refusalTimeoutMs)
}
