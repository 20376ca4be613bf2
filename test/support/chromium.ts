import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:tls'
import type { Test } from 'tap'
import { type Gateway, temporaryDirectory } from './programs.ts'
import { pathOf } from './tools.js'

/** Chromium with this page of a gateway's, without a window. What it says, its console included. */
export async function startChromium(
  t: Test,
  gateway: Gateway,
  name: string,
): Promise<() => string> {
  const pin = await pinOf(gateway, name)
  const child = spawn(
    pathOf('chromium') ?? 'chromium',
    [
      ...['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
      ...['--no-first-run', '--disable-background-networking', '--disable-component-update'],
      ...['--no-proxy-server', '--host-resolver-rules=MAP *.localhost 127.0.0.1'],
      `--user-data-dir=${temporaryDirectory(t)}`,
      `--ignore-certificate-errors-spki-list=${pin}`,
      ...['--enable-logging=stderr', '--log-level=0'],
      `https://${name}:${gateway.ports.public}/`,
    ],
    { stdio: ['ignore', 'ignore', 'pipe'], detached: true },
  )
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
  const closed = once(child, 'close')
  const kill = () => {
    if (child.exitCode === null) process.kill(-(child.pid as number), 'SIGKILL') // and its children
  }
  process.once('exit', kill)
  t.teardown(async () => {
    process.off('exit', kill)
    kill()
    await closed
    if (!t.passing()) console.error(said)
  })
  return () => said
}

/** Of the certificate that the gateway has for the name; a browser takes no CA from a command line. */
async function pinOf({ ports, ca }: Gateway, servername: string): Promise<string> {
  const socket = connect({ port: ports.public, host: '127.0.0.1', servername, ca })
  await once(socket, 'secureConnect')
  const key = socket.getPeerX509Certificate()?.publicKey.export({ type: 'spki', format: 'der' })
  socket.destroy()
  return createHash('sha256')
    .update(key ?? '')
    .digest('base64')
}
