import { AckError, type Update, type Updated } from '../protocol/messages.ts'
import { offeredRoutes, Refusal, refusalOf } from './offer.ts'
import { claim, outcomeOf, prepare, type RegistrationOptions, statusOf } from './registration.ts'
import type { Tunnel } from './tunnel.ts'

export interface UpdateOptions extends RegistrationOptions {
  /** The gateway's own, which no agent may claim. */
  readonly ownNames: readonly string[]
}

/**
 * Gives a tunnel that is up the names and ports of these in place of those that it has, or changes nothing.
 * Streams that run go on, also those of tunnels that are no more. Resolves with the answer, and never rejects.
 */
export async function update(
  tunnel: Tunnel,
  { tunnels }: Update,
  options: UpdateOptions,
): Promise<Updated> {
  const { owner, identity } = tunnel
  try {
    const offer = { routes: new Map(), modes: new Map(), tunnels }
    const offered = offeredRoutes(offer, options.ownNames)
    const registration = await prepare(owner, offered, identity.scope, {
      ...options,
      holder: tunnel,
    })
    try {
      // From here on all in one tick.
      if (!tunnel.canServe) throw new Refusal('SHUTTING_DOWN', AckError.shuttingDown)
      claim(registration, tunnel, options.registry)
    } catch (error) {
      options.ports.close(registration.ports.values())
      throw error
    }
    tunnel.show(statusOf(registration))
    return { type: 'updated', ok: true, ...outcomeOf(registration) }
  } catch (error) {
    const { code, message } = refusalOf(error)
    return { type: 'updated', ok: false, code, error: message }
  }
}
