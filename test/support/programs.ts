import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface, type Interface } from 'node:readline'
import type { Readable } from 'node:stream'
import type { Scope } from './scope.ts'

/*
 * The two real programs as child processes on loopback, as a person starts them: a gateway with a
 * development CA on ports of its own choice, agents with a config.yaml. What they log is how a test
 * knows where they stand. All of them end with the test that started them.
 */

export const cli = resolve('dist/cli')
export const sharedSecret = '6d0f1c1b93a24c8f9e1f0d5b7a3c2e48'
export const gatewayHost = 'gateway.localhost'
/** Agents ask the system's resolver, and not every one knows `*.localhost`. */
export const tunnelHost = 'localhost'

export interface LogLine {
  readonly level: string
  readonly message: string
  readonly [field: string]: unknown
}

export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface ProgramOptions {
  readonly file: 'server.js' | 'agent.js'
  readonly args?: readonly string[]
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
  /** The Node that runs it. Default: ours. */
  readonly node?: string
  /** A command that runs it in turn, and gives it its own process. */
  readonly within?: readonly string[]
}

/** One of the programs, running. */
export class Program {
  readonly name: string
  readonly log: LogLine[] = []
  /** What it wrote beside its log. */
  stderr = ''
  /** Resolves when the process is gone and all it said was read. */
  readonly exited: Promise<Exit>
  readonly #child: ChildProcessByStdio<null, Readable, Readable>
  readonly #lines: Interface
  readonly #news = new EventEmitter<{ news: [] }>().setMaxListeners(0)
  #isRunning = true

  constructor(t: Scope, { file, args = [], cwd, env, ...options }: ProgramOptions) {
    const { node = process.execPath, within = [] } = options
    this.name = file
    // tap puts a loader of its own into every child's NODE_OPTIONS, which makes it start late, and grow.
    const command = ['-u', 'NODE_OPTIONS', ...within, node, join(cli, file), ...args]
    this.#child = spawn('env', command, {
      cwd,
      env: { ...env, PATH: process.env.PATH, LOG_FORMAT: 'json' },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#lines = createInterface({ input: this.#child.stdout }).on('line', (line) => {
      this.log.push(JSON.parse(line))
      this.#news.emit('news')
    })
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => (this.stderr += text))
    this.exited = once(this.#child, 'close').then(([code, signal]) => {
      this.#isRunning = false
      this.#news.emit('news')
      return { code, signal }
    })
    process.setMaxListeners(0) // one a program
    const killNow = () => this.signal('SIGKILL') // tap ends a test file that takes too long
    process.once('exit', killNow)
    t.teardown(() => {
      process.off('exit', killNow)
      if (!t.passing()) console.error(`${this.#describe()}\n`)
      return this.kill('SIGKILL')
    })
  }

  get pid(): number {
    return this.#child.pid as number
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  kill(signal: NodeJS.Signals): Promise<Exit> {
    this.signal(signal)
    return this.exited
  }

  /** All log lines with this message and these fields. */
  logged(message: string, fields: Partial<LogLine> = {}): LogLine[] {
    const wanted = Object.entries(fields)
    return this.log.filter(
      (line) => line.message === message && wanted.every(([key, value]) => line[key] === value),
    )
  }

  /** What it found worth a warning, or worse; not that of the Node it runs on. */
  get warnings(): LogLine[] {
    const isWarning = ({ level }: LogLine) => level === 'warn' || level === 'error'
    return this.log.filter((line) => isWarning(line) && !line.message.startsWith('Node '))
  }

  /** The nth of those log lines, from 1; fails when the program ends without it, or after a minute. */
  async waitFor(message: string, fields: Partial<LogLine> = {}, nth = 1): Promise<LogLine> {
    const deadline = AbortSignal.timeout(60_000)
    for (;;) {
      const line = this.logged(message, fields)[nth - 1]
      if (line !== undefined) return line
      if (!this.#isRunning) throw new Error(`ended without "${message}"\n${this.#describe()}`)
      try {
        await once(this.#news, 'news', { signal: deadline })
      } catch {
        throw new Error(`no "${message}" within a minute\n${this.#describe()}`)
      }
    }
  }

  /** Resident memory now, by the kernel's account (Linux). */
  residentMiB(): number {
    const status = readFileSync(`/proc/${this.pid}/status`, 'utf8')
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024
  }

  /** What it logs from now on is thrown away. */
  ignoreLog(): void {
    this.#lines.close()
    this.#child.stdout.resume()
  }

  #describe(): string {
    const lines = this.log.slice(-20).map((line) => `  ${JSON.stringify(line)}`)
    return [`${this.name} (${this.pid}) said last:`, ...lines, this.stderr].join('\n')
  }
}

export interface Ports {
  readonly public: number
  readonly tunnel: number
  readonly http: number
  readonly dashboard: number
}

export interface Gateway {
  readonly program: Program
  readonly ports: Ports
  /** Also where its certificates are: another one started there has the same CA. */
  readonly directory: string
  readonly caFile: string
  /** PEM. */
  readonly ca: string
}

export interface GatewayOptions {
  readonly directory?: string
  /** Default: any that are free. */
  readonly ports?: Ports
  readonly env?: Readonly<Record<string, string>>
  /** Whom to trust. Default: its development CA. */
  readonly caFile?: string
  /** The Node that runs it. Default: ours. */
  readonly node?: string
  readonly within?: readonly string[]
}

/** A gateway that is ready. */
export async function startGateway(t: Scope, options: GatewayOptions = {}): Promise<Gateway> {
  const { directory = temporaryDirectory(t), ports, env, node, within } = options
  const program = new Program(t, {
    file: 'server.js',
    ...(node && { node }),
    ...(within && { within }),
    cwd: directory,
    env: {
      GATEWAY_HOST: gatewayHost,
      TUNNEL_HOST: tunnelHost,
      BIND_ADDRESS: '127.0.0.1',
      GATEWAY_PORT: String(ports?.public ?? 0),
      TUNNEL_PORT: String(ports?.tunnel ?? 0),
      HTTP_PORT: String(ports?.http ?? 0),
      DASHBOARD_PORT: String(ports?.dashboard ?? 0),
      JWT_SECRET: sharedSecret,
      ACME_ENV: 'development',
      ACME_CACHE: join(directory, 'certificates'),
      ...env,
    },
  })
  await program.waitFor('ready')
  const port = (listener: keyof Ports) => {
    const [line] = program.logged('listening', { listener })
    return Number(String(line?.address).split(':').at(-1))
  }
  const caFile = options.caFile ?? join(directory, 'certificates', 'ca.pem')
  return {
    program,
    directory,
    caFile,
    ca: readFileSync(caFile, 'utf8'),
    ports: {
      public: port('public'),
      tunnel: port('tunnel'),
      http: port('http'),
      dashboard: port('dashboard'),
    },
  }
}

interface HeaderChanges {
  readonly set?: Readonly<Record<string, string>>
  readonly remove?: readonly string[]
}

/** A tunnel of config.yaml, its keys as they are typed there. */
export interface Offer {
  readonly hostname?: string
  /** A port on loopback, or a target as a person types it. */
  readonly target: number | string
  readonly mode?: 'http' | 'tcp' | 'tls'
  readonly listen_port?: number
  readonly ssh?: boolean
  readonly alpn?: readonly string[]
  readonly proxy_protocol?: 'v1' | 'v2'
  readonly idle_timeout?: number | string
  readonly path?: string
  readonly strip_prefix?: boolean
  readonly host_header?: string
  readonly request_headers?: HeaderChanges
  readonly response_headers?: HeaderChanges
  readonly basic_auth?: readonly string[]
  readonly allow_ips?: readonly string[]
  readonly deny_ips?: readonly string[]
  readonly response_timeout?: number | string
  readonly target_ca_file?: string
  readonly target_sni?: string
  readonly target_verify?: boolean
  readonly target_http2?: boolean
}

/** What an agent needs to know of a gateway. */
export interface Destination {
  readonly ports: Pick<Ports, 'tunnel'>
  readonly caFile: string
  /** For the agent's configuration. */
  readonly directory: string
}

export interface AgentOptions {
  /** Other or further lines of its config.yaml. */
  readonly config?: Readonly<Record<string, unknown>>
  readonly env?: Readonly<Record<string, string>>
  readonly within?: readonly string[]
}

let lastConfig = 0

/** An agent that has been started; what becomes of it, its log says. */
export function spawnAgent(
  t: Scope,
  { ports, caFile, directory: cwd }: Destination,
  offers: readonly Offer[],
  { config, env = {}, within = [] }: AgentOptions = {},
): Program {
  // JSON is YAML.
  const text = JSON.stringify({
    tunnel_addr: `${tunnelHost}:${ports.tunnel}`,
    ca_file: caFile,
    jwt_secret: sharedSecret,
    tunnels: offers.map(({ target, ...offer }) => ({
      ...offer,
      target: typeof target === 'number' ? `127.0.0.1:${target}` : target,
    })),
    ...config,
  })
  lastConfig += 1
  const file = join(cwd, `config-${process.pid}-${lastConfig}.yaml`)
  writeFileSync(file, text, { mode: 0o600 })
  return new Program(t, { file: 'agent.js', args: ['--config', file], cwd, env, within })
}

/** An agent that the gateway has admitted. */
export async function startAgent(
  t: Scope,
  gateway: Destination,
  offers: readonly Offer[],
  options: AgentOptions = {},
): Promise<Program> {
  const agent = spawnAgent(t, gateway, offers, options)
  await agent.waitFor('connected')
  return agent
}

/** Gone when the test ends, after the programs that were started in it. */
export function temporaryDirectory(t: Scope): string {
  const directory = mkdtempSync(join(tmpdir(), 'gotunnel-e2e-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}
