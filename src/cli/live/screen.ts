import type { WriteStream } from 'node:tty'

// ECMA-48 and xterm's control sequences.
const enter = '\x1b[?1049h\x1b[?25l' // the other screen, without the cursor
const leave = '\x1b[?25h\x1b[?1049l'
const home = '\x1b[H'
const clearToEndOfLine = '\x1b[K'
const clearBelow = '\x1b[J'

/** A terminal that is drawn on, and given back as it was, however the process ends. */
export class Screen {
  readonly #terminal: WriteStream
  #isOpen = false

  constructor(terminal: WriteStream) {
    this.#terminal = terminal
  }

  get columns(): number {
    return this.#terminal.columns || 80
  }

  get rows(): number {
    return this.#terminal.rows || 24
  }

  open(): void {
    this.#isOpen = true
    process.once('exit', this.close)
    this.#terminal.write(enter)
  }

  /** In place of the picture before, without flicker. */
  draw(lines: readonly string[]): void {
    if (!this.#isOpen) return
    const text = lines.map((line) => `${line}${clearToEndOfLine}`).join('\r\n')
    this.#terminal.write(`${home}${text}${clearBelow}`)
  }

  readonly close = (): void => {
    if (!this.#isOpen) return
    this.#isOpen = false
    process.off('exit', this.close)
    this.#terminal.write(leave)
  }
}
