import type { Dial } from '../transport/transport.ts'

/** Where an agent may find its gateway. */
export interface AgentGateway {
  readonly dial: Dial
  /** Where `dial` leads; for logs only, as is the proxy. */
  readonly address?: string
  readonly proxy?: string | undefined
}

/** Gateways that are tried in turn: all of them once, before there is a pause. */
export class Turns {
  #gateways: readonly AgentGateway[] = []
  #index = 0
  #untried = 0

  constructor(gateways: readonly AgentGateway[]) {
    this.startWith(gateways)
  }

  /** The first of these is the next to be tried. */
  startWith(gateways: readonly AgentGateway[]): void {
    this.#gateways = gateways
    this.#index = 0
    this.#untried = gateways.length
  }

  get current(): AgentGateway {
    return this.#gateways[this.#index] as AgentGateway
  }

  /** Goes on to the next one. False: it is time for a pause, as all have failed, or one was up and is lost. */
  next({ wasUp }: { wasUp: boolean }): boolean {
    this.#index = (this.#index + 1) % this.#gateways.length
    this.#untried -= 1
    if (!wasUp && this.#untried > 0) return true
    this.#untried = this.#gateways.length
    return false
  }
}
