import type { lookup as dnsLookup } from 'node:dns'
import { once } from 'node:events'
import { connect } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { promisify } from 'node:util'
import { ClientError } from '../../client/errors.ts'
import { Tunnel } from '../../client/tunnel.ts'
import type { GatewayAddress } from '../../config/agent-connection.ts'
import { describeProxy } from '../../config/proxy.ts'
import { formatHostPort } from '../../net/address.ts'
import { lookup } from '../../net/lookup.ts'
import { dialTls } from '../../transport/tls.ts'
import { type Finding, failed, ok, warning } from './finding.ts'

export interface GatewayCheck {
  readonly address: GatewayAddress
  readonly verify: boolean
  readonly ca: string | undefined
  readonly token: () => string
  readonly signal: AbortSignal
}

/** Token lifetimes and certificates bear seconds. */
const clockToleranceMs = 30_000
const dayMs = 86_400_000
/** HTTPS; and HTTP, which redirects and where a CA may look for answers. */
const visitorPorts = [443, 80]
const portTimeoutMs = 5_000

/** From the name to the token: the way that an agent takes, but without offering anything. */
export async function* checkGateway(check: GatewayCheck): AsyncGenerator<Finding> {
  const { address } = check
  const place = formatHostPort(address)
  if (address.proxy !== undefined) yield ok('proxy', `${place} by ${describeProxy(address.proxy)}`)
  else yield await checkName(address.host)
  let socket: TLSSocket
  try {
    const { verify, ca, signal } = check
    socket = await dialTls({ ...address, verify, ca })(signal)
  } catch (error) {
    yield failed('connection', (error as Error).message)
    return
  }
  yield ok('connection', `${place} answers, with ${socket.getProtocol()}`)
  yield checkCertificate(socket, check)
  yield* checkToken(socket, check)
  for (const port of visitorPorts) {
    // Behind a proxy it is not we who would be let through.
    if (port !== address.port && address.proxy === undefined)
      yield await checkPort(address.host, port)
  }
}

/** Visitors may come from elsewhere, and a gateway may have others: what fails here is only a hint. */
async function checkPort(host: string, port: number): Promise<Finding> {
  const place = formatHostPort({ host, port })
  const socket = connect({ host, port, lookup, timeout: portTimeoutMs })
  try {
    socket.once('timeout', () => socket.destroy(new Error('no answer')))
    await once(socket, 'connect')
    return ok('public port', `${place} takes connections`)
  } catch (error) {
    const advice = 'visitors need it, unless the gateway has another GATEWAY_PORT or HTTP_PORT'
    return warning('public port', `${place}: ${(error as Error).message}; ${advice}`)
  } finally {
    socket.destroy()
  }
}

async function checkName(host: string): Promise<Finding> {
  try {
    const addresses = await addressesOf(host)
    return ok('name', `${host} is ${addresses.join(', ')}`)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const advice = 'check the name, and the name servers of this machine'
    return failed('name', `${host} cannot be looked up (${code}): ${advice}`)
  }
}

/** As the agent sees them. */
export async function addressesOf(host: string): Promise<string[]> {
  const look = promisify(lookup as typeof dnsLookup)
  const found = await look(host, { all: true })
  return found.map(({ address }) => address)
}

function checkCertificate(socket: TLSSocket, { verify }: GatewayCheck): Finding {
  const { subjectaltname = '', valid_to } = socket.getPeerCertificate()
  const leftDays = Math.floor((Date.parse(valid_to) - Date.now()) / dayMs)
  const text = `for ${subjectaltname.replaceAll('DNS:', '')}, ${leftDays} days left`
  if (!verify) return warning('certificate', `${text}; NOT checked: remove skip_tls_verify`)
  return leftDays < 7
    ? warning('certificate', `${text}: the gateway should renew it`)
    : ok('certificate', text)
}

/** A registration of nothing: a gateway that takes the token refuses it for that alone. */
async function* checkToken(
  transport: TLSSocket,
  { token, signal }: GatewayCheck,
): AsyncGenerator<Finding> {
  const askedMs = Date.now()
  const refused = await register(transport, token(), signal)
  const answeredMs = Date.now()
  if (refused.refusal?.gatewayTimeMs !== undefined) {
    // It has looked at its clock somewhere between the two.
    yield checkClock(refused.refusal.gatewayTimeMs - (askedMs + answeredMs) / 2)
  } else if (refused.refusal !== undefined) {
    yield warning('clock', 'the gateway does not tell its own')
  }
  const { code, text = '' } = refused.refusal ?? {}
  if (code === 'NO_ROUTES' || text === 'no routes') yield ok('token', 'the gateway takes it')
  else
    yield failed(
      'token',
      `${refused.message}; get one from the owner of the gateway, or use its JWT_SECRET`,
    )
}

async function register(
  transport: TLSSocket,
  token: string,
  signal: AbortSignal,
): Promise<ClientError> {
  try {
    const tunnel = await Tunnel.open({ transport, token, routes: [] }, signal)
    tunnel.destroy(new ClientError('CLIENT_CLOSED', 'it was only a question'))
    return new ClientError('CLIENT_GATEWAY_BROKEN', 'the gateway took an agent that offers nothing')
  } catch (error) {
    if (error instanceof ClientError) return error
    throw error
  } finally {
    transport.destroy()
  }
}

function checkClock(aheadMs: number): Finding {
  const seconds = Math.round(Math.abs(aheadMs) / 1000)
  const text = `${seconds} s ${aheadMs > 0 ? 'behind' : 'ahead of'} the gateway's`
  if (Math.abs(aheadMs) < clockToleranceMs) return ok('clock', 'agrees with the gateway’s')
  return failed('clock', `${text}: tokens will seem expired; set it, best by NTP`)
}
