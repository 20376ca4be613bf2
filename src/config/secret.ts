import { inspect } from 'node:util'

const shown = '[secret]'

/** Text that prints as `[secret]`, wherever it turns up. `reveal()` is the only way to it, and easy to search for. */
export class Secret {
  readonly #text: string

  constructor(text: string) {
    this.#text = text
  }

  reveal(): string {
    return this.#text
  }

  toString(): string {
    return shown
  }

  toJSON(): string {
    return shown
  }

  [inspect.custom](): string {
    return shown
  }
}
