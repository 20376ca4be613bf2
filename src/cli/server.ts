#!/usr/bin/env node
import { main } from './main.ts'
import { serverUsage } from './server-usage.ts'

await main({
  usage: serverUsage,
  async sections() {
    const { serverSections } = await import('../config/server.ts')
    const { prefixed } = await import('../config/reference.ts')
    return prefixed('Environment', serverSections)
  },
  commands: {
    async ''(invocation, life) {
      const { runGateway } = await import('./run-gateway.ts')
      await runGateway(invocation, life)
    },
    secret: printSecret,
    async token(invocation) {
      const { printToken } = await import('./token.ts')
      await printToken(invocation)
    },
    async 'token inspect'(invocation) {
      const { inspectToken } = await import('./token.ts')
      await inspectToken(invocation)
    },
    async certs(invocation) {
      const { printCertificates } = await import('./certs.ts')
      await printCertificates(invocation)
    },
    async 'certs issue'(invocation) {
      const { issueCertificate } = await import('./certs.ts')
      await issueCertificate(invocation)
    },
    async 'certs renew'(invocation) {
      const { renewCertificate } = await import('./certs.ts')
      await renewCertificate(invocation)
    },
  },
})

async function printSecret(): Promise<void> {
  const { generateSecret } = await import('../auth/secret.ts')
  process.stdout.write(`${generateSecret()}\n`)
}
