import { X509Certificate } from 'node:crypto'
import { ConfigError } from '../config/errors.ts'
import { readText } from '../config/load.ts'

/**
 * The PEM text of a file of CA certificates, which `key` names. Read here, so that a wrong file is told of at the start:
 * tls takes any text, and then trusts nobody.
 * @throws ConfigError CONFIG_FILE_MISSING, CONFIG_FILE_UNREADABLE
 */
export function readCertificates(file: string, key: string): string {
  const unreadable = (reason: string, cause?: unknown) =>
    new ConfigError('CONFIG_FILE_UNREADABLE', `${key}: ${file} ${reason}`, { cause })
  const pem = readText(file, { hint: `it is named by ${key}` })
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  if (blocks.length === 0) throw unreadable('has no certificate in PEM form')
  for (const [index, block] of blocks.entries()) {
    try {
      new X509Certificate(block)
    } catch (cause) {
      throw unreadable(`has a broken certificate, number ${index + 1}`, cause)
    }
  }
  return pem
}
