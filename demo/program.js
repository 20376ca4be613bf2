// @ts-check
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

/**
 * @typedef {{ level: string, message: string, [field: string]: unknown }} LogLine
 * @typedef {{ name: string, file: string, args?: readonly string[], cwd: string, env: Readonly<Record<string, string>> }} ProgramOptions
 */

const KEPT_LINES = 20
// The gateway drains for 15 s; after that nothing good is to be expected.
const STOP_TIMEOUT_MS = 20_000
// So that neither a `.env` nor a setting of whoever runs the demo changes what it shows.
const INHERITED = ['PATH', 'HOME', 'TMPDIR', 'LANG', 'NODE_OPTIONS']

/** One of the real programs as a child process; what it logs is how the demo knows where it stands. */
export class Program {
  /** @type {Set<Program>} */
  static #running = new Set()
  /** @type {Set<string>} */
  static #reported = new Set()

  /** @type {import('node:child_process').ChildProcessByStdio<null, import('node:stream').Readable, import('node:stream').Readable>} */
  #child
  /** What it said last, as it said it. @type {string[]} */
  lastLines = []
  #isStopping = false
  /** @type {LogLine[]} */
  #log = []
  /** @type {Set<() => void>} */
  #watchers = new Set()

  /** @param {ProgramOptions} options */
  constructor({ name, file, args = [], cwd, env }) {
    this.name = name
    const path = fileURLToPath(new URL(`../dist/cli/${file}`, import.meta.url))
    const inherited = INHERITED.map((key) => [key, process.env[key]]).filter(([, value]) => value)
    this.#child = spawn(process.execPath, [path, ...args], {
      cwd,
      env: { ...Object.fromEntries(inherited), ...env, LOG_FORMAT: 'json' },
      stdio: ['ignore', 'pipe', 'pipe'],
      // In a process group of its own: Ctrl-C is for the demo, which then stops the programs in order.
      detached: true,
    })
    Program.#running.add(this)
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => this.#read(line))
    }
    /** How it ended: resolves when the process is gone and all it said was read. @type {Promise<string>} */
    this.ended = once(this.#child, 'close').then(([code, signal]) => {
      Program.#running.delete(this)
      this.#wake()
      return signal ? `ended by ${signal}` : `ended with exit code ${code}`
    })
  }

  /** Ends whatever still runs, without a word; for the very end of the process. */
  static killAll() {
    for (const program of Program.#running) program.#child.kill('SIGKILL')
  }

  get isRunning() {
    return Program.#running.has(this)
  }

  get isStopping() {
    return this.#isStopping
  }

  /** @param {string} message */
  logged(message) {
    return this.#log.filter((line) => line.message === message)
  }

  /**
   * The first log line with this message.
   * @param {string} message
   * @returns {Promise<LogLine>}
   */
  async waitFor(message) {
    for (;;) {
      const [line] = this.logged(message)
      if (line) return line
      if (!this.isRunning) throw new Error(`the ${this.name} ${await this.ended}`)
      await new Promise((/** @type {(value?: unknown) => void} */ resolve) => {
        this.#watchers.add(resolve)
      })
    }
  }

  async stop() {
    this.#isStopping = true
    this.#child.kill('SIGTERM')
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_TIMEOUT_MS)
    await this.ended
    clearTimeout(timer)
  }

  /** @param {string} text */
  #read(text) {
    this.lastLines = [...this.lastLines, text].slice(-KEPT_LINES)
    /** @type {LogLine | undefined} */
    let line
    try {
      line = JSON.parse(text)
    } catch {
      // Not from the logger: an error before there is one, or Node's own words.
    }
    if (typeof line?.message === 'string') {
      this.#log = [...this.#log, line].slice(-100)
      if (!this.#isStopping) this.#report(line)
    }
    this.#wake()
  }

  /** Warnings and errors; what both programs say, such as of the version of Node, once. @param {LogLine} line */
  #report({ time, level, message, ...fields }) {
    const text = [message, ...Object.entries(fields).map((field) => field.join('='))].join(' ')
    if ((level !== 'warn' && level !== 'error') || Program.#reported.has(text)) return
    Program.#reported.add(text)
    console.error(`${this.name}: ${text}`)
  }

  #wake() {
    for (const resolve of this.#watchers) resolve()
    this.#watchers.clear()
  }
}
