/** When a CA would like a certificate to be renewed (RFC 9773). */
import { X509Certificate } from 'node:crypto'
import type { RenewalWindow } from '../issuer.ts'
import { elements } from './der.ts'
import type { AcmeHttp } from './http.ts'

/** How the CA calls a certificate of its own: authority key identifier and serial (RFC 9773 §4.1). */
export function certificateId(chain: string): string | undefined {
  const { raw, serialNumber } = new X509Certificate(chain)
  const authority = authorityKeyId(raw)
  if (authority === undefined) return undefined
  const hex = serialNumber.length % 2 === 0 ? serialNumber : `0${serialNumber}`
  const serial = Buffer.from(hex, 'hex')
  // As it is in the certificate: a DER integer, so with a zero before a first bit that is set.
  const signed = (serial[0] ?? 0) & 0x80 ? Buffer.concat([Buffer.from([0]), serial]) : serial
  return `${authority.toString('base64url')}.${signed.toString('base64url')}`
}

/** Undefined where the CA says nothing that we can use; the owner has a schedule of its own then. */
export async function askRenewalInfo(
  http: AcmeHttp,
  renewalInfo: string,
  chain: string,
  nowMs: number,
): Promise<RenewalWindow | undefined> {
  const id = certificateId(chain)
  if (id === undefined) return undefined
  const url = `${renewalInfo.replace(/\/$/, '')}/${id}`
  const { status, body, retryAfterMs = DEFAULT_PAUSE_MS } = await http.send({ method: 'GET', url })
  if (status !== 200) return undefined
  const window = readWindow(body)
  const pauseMs = Math.min(Math.max(retryAfterMs, SHORTEST_PAUSE_MS), LONGEST_PAUSE_MS)
  return window && { ...window, askAgainMs: nowMs + pauseMs }
}

// RFC 9773 §4.3.3: 6 h, and limits on either side so that a broken header does no harm.
const DEFAULT_PAUSE_MS = 6 * 3_600_000
const SHORTEST_PAUSE_MS = 60_000
const LONGEST_PAUSE_MS = 24 * 3_600_000

function readWindow(body: string): { startMs: number; endMs: number } | undefined {
  try {
    const { start, end } = JSON.parse(body).suggestedWindow
    const [startMs, endMs] = [Date.parse(start), Date.parse(end)]
    return startMs < endMs ? { startMs, endMs } : undefined
  } catch {
    return undefined
  }
}

/** RFC 5280 §4.2.1.1: `SEQUENCE { [0] keyIdentifier }` in the extension 2.5.29.35. */
function authorityKeyId(certificate: Buffer): Buffer | undefined {
  const at = certificate.indexOf(AUTHORITY_KEY_ID)
  if (at === -1) return undefined
  const [value] = elements(certificate.subarray(at + AUTHORITY_KEY_ID.length))
  const [fields] = elements(value?.content ?? NOTHING)
  const [keyId] = elements(fields?.content ?? NOTHING)
  return keyId?.tag === 0x80 ? keyId.content : undefined
}

const AUTHORITY_KEY_ID = Buffer.from('0603551d23', 'hex')
const NOTHING = Buffer.alloc(0)
