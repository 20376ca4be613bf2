import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import type { Test } from 'tap'
import { temporaryDirectory } from './programs.ts'

/*
 * Pebble, Let's Encrypt's CA for tests, with its DNS server: every name leads to one address of this
 * machine's loopback, which belongs to this process alone. So ports can be fixed, and nothing collides.
 */

export interface PebbleOptions {
  /** Of the certificates it issues. Default: 5 years. */
  readonly lifetimeSec?: number
  /** How many good nonces in a hundred it refuses. */
  readonly refusedNonces?: number
  readonly refusedNames?: readonly string[]
  /** Only accounts that are tied to one of these: key id → HMAC key, base64url. */
  readonly externalAccounts?: Readonly<Record<string, string>>
  /** How many of a hundred valid authorizations it takes for the next order too. */
  readonly reusedAuthorizations?: number
}

export interface Pebble {
  /** Where all names lead. */
  readonly address: string
  /** Where it looks for answers at that address. */
  readonly httpPort: number
  readonly tlsPort: number
  readonly directoryUrl: string
  /** PEM file: whom to trust to speak with it (`ACME_CA_FILE`). */
  readonly caFile: string
  /** PEM file: whom to trust for what it issues; another one after each restart. */
  readonly rootFile: string
  root(): string
  /** Has a name lead where nobody answers. */
  loseName(hostname: string): Promise<void>
  findName(hostname: string): Promise<void>
  stop(): Promise<void>
  /** It remembers nothing: no account, no order. */
  start(): Promise<void>
}

let started = 0

export async function startPebble(t: Test, options: PebbleOptions = {}): Promise<Pebble> {
  started += 1
  const directory = temporaryDirectory(t)
  const address = `127.${64 + ((process.pid >> 16) & 63)}.${(process.pid >> 8) & 255}.${process.pid & 255}`
  const port = (number: number) => number + 100 * started
  const [apiPort, managementPort] = [port(14_000), port(14_001)]
  const [dnsPort, dnsManagementPort] = [port(14_002), port(14_003)]
  const [httpPort, tlsPort] = [port(14_004), port(14_005)]
  const caFile = makeCertificate(directory, address)
  const configFile = join(directory, 'pebble.json')
  const rootFile = join(directory, 'root.pem')
  const dns = `http://${address}:${dnsManagementPort}`
  const externalAccounts = options.externalAccounts ?? {}
  writeFileSync(
    configFile,
    JSON.stringify({
      pebble: {
        listenAddress: `${address}:${apiPort}`,
        managementListenAddress: `${address}:${managementPort}`,
        certificate: caFile,
        privateKey: join(directory, 'api.key'),
        httpPort,
        tlsPort,
        domainBlocklist: options.refusedNames ?? [],
        externalAccountBindingRequired: Object.keys(externalAccounts).length > 0,
        externalAccountMACKeys: externalAccounts,
        ...(options.lifetimeSec && { certificateValidityPeriod: options.lifetimeSec }),
      },
    }),
  )

  const children = new Set<ChildProcess>()
  const killAll = () => {
    for (const child of children) child.kill('SIGKILL')
  }
  process.once('exit', killAll)
  t.teardown(() => {
    process.off('exit', killAll)
    killAll()
  })
  let pebble: ChildProcess | undefined

  function run(command: string, args: readonly string[], env: Record<string, string> = {}) {
    const child = spawn(command, args, { stdio: 'ignore', env: { PATH: process.env.PATH, ...env } })
    children.add(child)
    child.once('close', () => children.delete(child))
    return child
  }

  run('pebble-challtestsrv', [
    ...['-management', `${address}:${dnsManagementPort}`, '-dns01', `${address}:${dnsPort}`],
    ...['-defaultIPv4', address, '-defaultIPv6', ''],
    ...['-http01', '', '-https01', '', '-tlsalpn01', ''],
  ])

  async function start(): Promise<void> {
    pebble = run(
      'pebble',
      ['-config', configFile, '-strict=false', '-dnsserver', `${address}:${dnsPort}`],
      {
        PEBBLE_VA_NOSLEEP: '1',
        PEBBLE_WFE_NONCEREJECT: String(options.refusedNonces ?? 5),
        PEBBLE_AUTHZREUSE: String(options.reusedAuthorizations ?? 0),
      },
    )
    const ca = readFileSync(caFile)
    const root = await eventually(() => get(`https://${address}:${managementPort}/roots/0`, ca))
    writeFileSync(rootFile, root)
  }
  await start()
  await eventually(() => post(`${dns}/clear-a`, { host: 'nobody.test' }))

  return {
    ...{ address, httpPort, tlsPort, caFile, rootFile, start },
    directoryUrl: `https://${address}:${apiPort}/dir`,
    root: () => readFileSync(rootFile, 'utf8'),
    // Nothing listens on that address.
    loseName: (host) => post(`${dns}/add-a`, { host, addresses: ['127.0.0.9'] }),
    findName: (host) => post(`${dns}/clear-a`, { host }),
    async stop() {
      if (pebble === undefined || pebble.exitCode !== null || pebble.signalCode !== null) return
      pebble.kill('SIGKILL')
      await once(pebble, 'close')
    },
  }
}

/** For its API: self-signed. */
function makeCertificate(directory: string, address: string): string {
  const file = join(directory, 'api.pem')
  const args = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  const names = ['-subj', '/CN=pebble', '-addext', `subjectAltName=IP:${address}`]
  const files = ['-keyout', join(directory, 'api.key'), '-out', file, '-days', '30']
  execFileSync('openssl', [...args, ...names, ...files], { stdio: 'pipe' })
  return file
}

async function get(url: string, ca: Buffer): Promise<string> {
  const outgoing = request(url, { ca }).end()
  const [response] = await once(outgoing, 'response')
  return text(response)
}

async function post(url: string, body: unknown): Promise<void> {
  const response = await fetch(url, { method: 'POST', body: JSON.stringify(body) })
  if (!response.ok) throw new Error(`${url} answered ${response.status}`)
}

/** Programs take a moment until they listen. */
async function eventually<T>(ask: () => Promise<T>): Promise<T> {
  for (const deadlineMs = Date.now() + 20_000; ; ) {
    try {
      return await ask()
    } catch (error) {
      if (Date.now() > deadlineMs) throw error
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
}
