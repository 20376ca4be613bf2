import { X509Certificate } from 'node:crypto'
import { ConfigError } from '../config/errors.ts'
import { readText } from '../config/load.ts'

/**
 * The PEM text of a file of CA certificates. Read here, so that a wrong file is told of at the start:
 * tls takes any text, and then trusts nobody.
 * @throws ConfigError CONFIG_FILE_MISSING, CONFIG_FILE_UNREADABLE
 */
export function readCertificates(file: string): string {
  const pem = readText(file, { hint: 'it is named by ca_file' })
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  if (blocks.length === 0) throw unreadable(file, 'has no certificate in PEM form')
  for (const [index, block] of blocks.entries()) {
    try {
      new X509Certificate(block)
    } catch (cause) {
      throw unreadable(file, `has a broken certificate, number ${index + 1}`, cause)
    }
  }
  return pem
}

function unreadable(file: string, reason: string, cause?: unknown): ConfigError {
  return new ConfigError('CONFIG_FILE_UNREADABLE', `ca_file: ${file} ${reason}`, { cause })
}
