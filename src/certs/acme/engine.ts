/*
 * greenlock, in the one file that knows it. Of the package only its engine runs, `@root/acme`: the flow
 * of RFC 8555 from an account to a chain. It has not been maintained since 2020, so it is pinned, looked
 * over before it is used (`checkEngine`), given a transport of ours in place of the network, and run in a
 * worker (`isolated.ts`), where nothing that it does can hurt the gateway.
 */
import { createRequire } from 'node:module'
import { AcmeError } from './errors.ts'
import type { AccountKey } from './jws.ts'
import type { EngineAnswer, EngineRequest } from './transport.ts'

export interface Engine {
  /** The URL of the account of this key: a new one, or the one that the CA has already. */
  register(key: AccountKey, email: string | undefined): Promise<string>
  /** The chain, PEM, leaf first. */
  order(order: EngineOrder): Promise<string>
}

export interface EngineOrder {
  readonly hostname: string
  readonly key: AccountKey
  readonly kid: string
  readonly challengeType: string
  /** Resolves when the CA may look. */
  readonly present: (challenge: { token: string; keyAuthorization: string }) => Promise<void>
}

/** @throws AcmeError ACME_ENGINE_FAILED, when it is not the one we know. */
export async function startEngine(
  directoryUrl: string,
  request: (request: EngineRequest) => Promise<EngineAnswer>,
): Promise<Engine> {
  const { ACME, maintainers, CSR } = loadEngine()
  // It would wait 5 s for DNS records that we never set.
  ACME._wait = () => Promise.resolve()
  // It would tell a third party who runs this, and compute whatever that asks for.
  maintainers.init = () => {}
  // It cannot read 1 in 256 requests for a P-256 key. The transport has ours, and here goes a hostname.
  CSR._info = (hostname) => ({ subject: hostname, altnames: [hostname] })
  const acme = ACME.create({
    maintainerEmail: 'nobody@localhost.invalid',
    packageAgent: 'gotunnel/1.0',
    skipDryRun: true,
    skipChallengeTest: true,
    __request: request,
    notify: () => {},
  })
  await acme.init(directoryUrl)
  return { register, order }

  async function register(key: AccountKey, email: string | undefined): Promise<string> {
    const { key: known } = await acme.accounts.create({
      ...(email !== undefined && { subscriberEmail: email }),
      agreeToTerms: true,
      accountKey: { ...key }, // it writes into what it gets
    })
    if (typeof known?.kid === 'string') return known.kid
    throw new AcmeError('ACME_BAD_ANSWER', 'the account has no address')
  }

  async function order(order: EngineOrder): Promise<string> {
    const { hostname, key, kid, challengeType, present } = order
    const presenter: Presenter = {
      init: async () => null,
      set: ({ challenge }) => present(challenge).then(() => null),
      get: async () => null,
      remove: async () => null, // our owner takes it away when the order has ended
    }
    const { cert, chain } = await acme.certificates.create({
      account: { key: { kid } },
      accountKey: { ...key },
      csr: hostname,
      domains: [hostname],
      challenges: { [challengeType]: presenter },
    })
    return `${cert.trim()}\n${chain.trim()}\n`
  }
}

/**
 * Whether the engine is the one that all of this was tried with: its version, and what of it we call,
 * replace, or rely on. @throws AcmeError ACME_ENGINE_FAILED, saying what is different.
 */
export function checkEngine(): void {
  const { ACME, maintainers, CSR, versions } = loadEngine()
  for (const [name, version] of Object.entries(KNOWN)) {
    if (versions[name] !== version) throw unknown(`${name} is ${versions[name]}, not ${version}`)
  }
  const functions = { ...ACME, init: maintainers.init, _info: CSR._info }
  for (const name of ['create', '_wait', 'init', '_info'] as const) {
    const value: unknown = functions[name]
    if (typeof value !== 'function') throw unknown(`it has no function ${name}`)
  }
}

const KNOWN: Readonly<Record<string, string>> = { greenlock: '4.0.4', '@root/acme': '3.1.0' }

function loadEngine() {
  try {
    const ours = createRequire(import.meta.url)
    const greenlock = createRequire(ours.resolve('greenlock'))
    const core = createRequire(greenlock.resolve('@root/greenlock'))
    const engine = createRequire(core.resolve('@root/acme'))
    return {
      ACME: core('@root/acme') as AcmeModule,
      maintainers: engine('./maintainers.js') as { init: () => void },
      CSR: engine('@root/csr') as CsrModule,
      versions: {
        greenlock: versionOf(ours('greenlock/package.json')),
        '@root/acme': versionOf(core('@root/acme/package.json')),
      } as Record<string, string | undefined>,
    }
  } catch (cause) {
    throw unknown('it cannot be loaded', cause)
  }
}

function versionOf(manifest: unknown): string | undefined {
  return (manifest as { version?: string }).version
}

function unknown(difference: string, cause?: unknown): AcmeError {
  const text = `the ACME engine is not the one we know (${difference}): install the package anew`
  return new AcmeError('ACME_ENGINE_FAILED', text, { cause })
}

/** What is called of `@root/acme`, which has no types. */
interface AcmeModule {
  _wait: (ms?: number) => Promise<void>
  create(options: {
    maintainerEmail: string
    packageAgent: string
    skipDryRun: boolean
    skipChallengeTest: boolean
    __request: (request: EngineRequest) => Promise<EngineAnswer>
    notify: (event: string, details: unknown) => void
  }): AcmeClient
}

interface CsrModule {
  _info: (csr: string) => { subject: string; altnames: string[] }
}

interface AcmeClient {
  init(directoryUrl: string): Promise<unknown>
  readonly accounts: {
    create(options: {
      subscriberEmail?: string
      agreeToTerms: true
      accountKey: AccountKey
    }): Promise<{ key?: { kid?: unknown } }>
  }
  readonly certificates: {
    create(options: {
      account: { key: { kid: string } }
      accountKey: AccountKey
      csr: string
      domains: readonly string[]
      challenges: Readonly<Record<string, Presenter>>
    }): Promise<{ cert: string; chain: string }>
  }
}

/** Functions of one argument: for two the engine takes them to be of an older kind. */
interface Presenter {
  init(options: unknown): Promise<null>
  set(options: { challenge: { token: string; keyAuthorization: string } }): Promise<null>
  get(options: unknown): Promise<null>
  remove(options: unknown): Promise<null>
}
