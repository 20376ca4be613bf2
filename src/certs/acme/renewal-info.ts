/** When a CA would like a certificate to be renewed (RFC 9773). */
import type { RenewalWindow } from '../issuer.ts'
import { AuthorityKeyIdentifierExtension, X509Certificate } from '../x509-library.ts'
import type { AcmeHttp } from './http.ts'

/** How the CA calls a certificate of its own: authority key identifier and serial (RFC 9773 §4.1). */
export function certificateId(chain: string): string | undefined {
  const certificate = new X509Certificate(chain)
  const authority = certificate.getExtension(AuthorityKeyIdentifierExtension)?.keyId
  if (authority === undefined) return undefined
  // As it is in the certificate: a DER integer, so with a zero before a first bit that is set.
  const serial = certificate.serialNumber.replace(/^(?=[89a-f])/i, '00')
  return [authority, serial].map((hex) => Buffer.from(hex, 'hex').toString('base64url')).join('.')
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
