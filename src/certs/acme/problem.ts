/** What a CA complains of (RFC 8555 §6.7), as an error of ours. */
import { AcmeError, type AcmeErrorCode } from './errors.ts'

/** An answer of status 400 or more. */
export function refusedBy(
  what: string,
  answer: { status: number; body: string; retryAfterMs: number | undefined },
): AcmeError {
  const { status, body, retryAfterMs } = answer
  const { type, detail } = readProblem(parsed(body))
  const said = detail ?? `the CA answered ${status}`
  return new AcmeError(codeOf(status, type), `${what}: ${said}`, {
    ...{ type, retryAfterMs },
    ...(ACCOUNT_WIDE.test(said) && { isOfAccount: true }),
  })
}

// RFC 8555 §6.6 has no field for what is limited, so Let's Encrypt's words have to do. Missing one costs
// a request a name: each of them is told the same, and waits.
const ACCOUNT_WIDE = /\bthis (account|IP)\b/i

/** Why an authorization or an order became invalid; `problem` is its `error` field. */
export function invalidatedBy(what: string, problem: unknown): AcmeError {
  const { type, detail = 'the CA does not say why' } = readProblem(problem)
  const code = (type && CODES[type]) || 'ACME_CHALLENGE_FAILED'
  // As a response `unauthorized` is about the account; here it is what the CA found at the name.
  const found = code === 'ACME_ACCOUNT_REFUSED' ? 'ACME_CHALLENGE_FAILED' : code
  return new AcmeError(found, `${what}: ${detail}`, { type })
}

const URN = 'urn:ietf:params:acme:error:'

const CODES: Readonly<Record<string, AcmeErrorCode | undefined>> = {
  __proto__: null as never,
  rateLimited: 'ACME_RATE_LIMITED',
  serverInternal: 'ACME_UNREACHABLE',
  caa: 'ACME_NAME_REFUSED',
  rejectedIdentifier: 'ACME_NAME_REFUSED',
  unsupportedIdentifier: 'ACME_NAME_REFUSED',
  accountDoesNotExist: 'ACME_ACCOUNT_REFUSED',
  externalAccountRequired: 'ACME_ACCOUNT_REFUSED',
  invalidContact: 'ACME_ACCOUNT_REFUSED',
  invalidProfile: 'ACME_ACCOUNT_REFUSED',
  unauthorized: 'ACME_ACCOUNT_REFUSED',
  unsupportedContact: 'ACME_ACCOUNT_REFUSED',
  userActionRequired: 'ACME_ACCOUNT_REFUSED',
}

function codeOf(status: number, type: string | undefined): AcmeErrorCode {
  if (status === 429) return 'ACME_RATE_LIMITED'
  if (status >= 500 && type !== 'rateLimited') return 'ACME_UNREACHABLE'
  return (type && CODES[type]) || 'ACME_BAD_ANSWER'
}

function readProblem(problem: unknown): { type?: string; detail?: string } {
  const { type, detail } = (problem ?? {}) as { type?: unknown; detail?: unknown }
  return {
    ...(typeof type === 'string' && { type: type.replace(URN, '').slice(0, 60) }),
    ...(typeof detail === 'string' && { detail: printable(detail) }),
  }
}

/** It ends in logs and on terminals. */
function printable(text: string): string {
  return text.replace(/[\x00-\x1f\x7f-\x9f\u2028\u2029]+/g, ' ').slice(0, 500)
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return undefined
  }
}
