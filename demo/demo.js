// @ts-check
/*
 * A gateway, an agent and two private services on this machine: the real programs from dist/, with
 * certificates from a development CA. `--once` sends some requests through the tunnel and exits.
 */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, rmSync } from 'node:fs'
import { mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createEcho } from './echo.js'
import { Program } from './program.js'
import { tryEverything } from './requests.js'
import { createSampleSite } from './sample-site.js'

const GATEWAY_HOST = 'gateway.localhost'
// The agent asks the system's resolver, and not every one knows `*.localhost`.
const TUNNEL_HOST = 'localhost'
const SITE = 'app.localhost'
const ECHO = 'tcp.localhost'
// Ctrl-C reaches this process from the terminal, and a moment later once more from npm.
const SECOND_SIGNAL_MS = 500
const READY_MS = 20_000

const isOnce = readArguments()
const interrupted = listenForSignals()
const directory = await mkdtemp(join(tmpdir(), 'gotunnel-demo-'))
process.on('exit', () => {
  Program.killAll()
  rmSync(directory, { recursive: true, force: true })
})

process.exitCode = await run()
process.exit()

async function run() {
  const secret = randomBytes(32).toString('hex')
  const site = createSampleSite()
  const echo = createEcho()
  /** @type {Program[]} */
  const programs = []
  /** @type {(error: Error) => void} */
  let fail = () => {}
  /** @type {Promise<never>} */
  const failure = new Promise((_, reject) => {
    fail = reject
  })
  try {
    return await Promise.race([interrupted.then(() => 0), failure, start()])
  } catch (error) {
    console.error(`\nThe demo failed: ${error instanceof Error ? error.message : error}`)
    for (const program of programs) showLastLines(program)
    return 1
  } finally {
    // The agent first: it says goodbye, and the gateway has nobody left to wait for.
    for (const program of programs.reverse()) await program.stop()
    site.closeAllConnections()
    site.close()
    echo.close()
  }

  async function start() {
    const sitePort = await listen(site)
    const echoPort = await listen(echo)
    const gateway = watch(await startGateway(secret))
    await soon(gateway.waitFor('ready'), gateway)
    const ca = join(directory, 'cert-cache', 'ca.pem')
    const ports = portsOf(gateway)

    const agent = watch(
      await startAgent({ secret, ca, tunnelPort: ports.tunnel, sitePort, echoPort }),
    )
    await soon(agent.waitFor('connected'), agent)

    if (isOnce) {
      const where = { port: ports.public, ca: await readFile(ca), siteName: SITE, echoName: ECHO }
      return (await tryEverything(where)) ? 0 : 1
    }
    printWelcome(ca, ports)
    return failure // which may never come: then it runs until it is interrupted
  }

  /** @param {Program} program */
  function watch(program) {
    programs.push(program)
    program.ended.then((how) => {
      if (!program.isStopping) fail(new Error(`the ${program.name} ${how}`))
    })
    return program
  }
}

/** @param {string} secret */
async function startGateway(secret) {
  return new Program({
    name: 'gateway',
    file: 'server.js',
    cwd: directory,
    env: {
      GATEWAY_HOST,
      TUNNEL_HOST,
      BIND_ADDRESS: '127.0.0.1',
      GATEWAY_PORT: await choosePort(8443),
      TUNNEL_PORT: await choosePort(9443),
      HTTP_PORT: await choosePort(8081),
      DASHBOARD_PORT: await choosePort(8080),
      JWT_SECRET: secret,
      ACME_ENV: 'development',
      ACME_CACHE: join(directory, 'cert-cache'),
    },
  })
}

/** @param {{ secret: string, ca: string, tunnelPort: number, sitePort: number, echoPort: number }} options */
async function startAgent({ secret, ca, tunnelPort, sitePort, echoPort }) {
  const file = join(directory, 'config.yaml')
  const config = `
tunnel_addr: ${TUNNEL_HOST}:${tunnelPort}
ca_file: ${JSON.stringify(ca)}
jwt_secret: ${secret}
tunnels:
  - hostname: ${SITE}
    target: 127.0.0.1:${sitePort}
  - hostname: ${ECHO}
    target: 127.0.0.1:${echoPort}
    mode: tcp
`
  await writeFile(file, config, { mode: 0o600 })
  return new Program({
    name: 'agent',
    file: 'agent.js',
    args: ['--config', file],
    cwd: directory,
    env: {},
  })
}

/**
 * Where the gateway listens, by its own account.
 * @param {Program} gateway
 */
function portsOf(gateway) {
  /** @param {string} listener */
  const port = (listener) => {
    const line = gateway.logged('listening').find((line) => line.listener === listener)
    return Number(String(line?.address).split(':').at(-1))
  }
  return { public: port('public'), tunnel: port('tunnel'), dashboard: port('dashboard') }
}

/**
 * @template T
 * @param {Promise<T>} event
 * @param {Program} program
 * @returns {Promise<T>}
 */
function soon(event, program) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(new Error(`the ${program.name} is not ready after ${READY_MS / 1000} s`))
    }, READY_MS)
    event.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}

/** The port if nobody has it, else 0: any free one. @param {number} port */
async function choosePort(port) {
  if (isOnce) return '0'
  const probe = createServer()
  try {
    await listen(probe, port)
    return String(port)
  } catch {
    return '0'
  } finally {
    probe.close()
  }
}

/**
 * @param {import('node:net').Server} server
 * @param {number} [port]
 */
async function listen(server, port = 0) {
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  return typeof address === 'object' && address ? address.port : 0
}

/**
 * @param {string} ca
 * @param {{ public: number, dashboard: number }} ports
 */
function printWelcome(ca, ports) {
  const url = `https://${SITE}:${ports.public}/`
  console.log(`
gotunnel demo: a gateway, an agent and two private services, all on this machine.

  the sample site   ${url}
  the dashboard     http://localhost:${ports.dashboard}/

Your browser warns about the certificate: it is from a CA made for this demo. Other programs can be told:

  curl --cacert ${ca} ${url}

And a TCP service behind the same port, by its name (type a line; Ctrl-C ends it):

  openssl s_client -quiet -verify_quiet -verify_return_error -CAfile ${ca} -servername ${ECHO} -verify_hostname ${ECHO} -connect 127.0.0.1:${ports.public}

Ctrl-C ends all of it.
`)
}

/** @param {Program} program */
function showLastLines(program) {
  console.error(`\nThe ${program.name} said last:`)
  for (const line of program.lastLines) console.error(`  ${line}`)
}

function readArguments() {
  const [option, ...rest] = process.argv.slice(2)
  if ((option !== undefined && option !== '--once') || rest.length > 0) {
    console.error('usage: npm run demo [-- --once]')
    process.exit(2)
  }
  if (!existsSync(new URL('../dist/cli/server.js', import.meta.url))) {
    console.error('dist/ is missing: run it as `npm run demo`, which builds first')
    process.exit(1)
  }
  return option === '--once'
}

/** Resolves at the first signal; the second one does not wait for anything. */
function listenForSignals() {
  return new Promise((/** @type {(value?: unknown) => void} */ resolve) => {
    let firstAt = 0
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
      process.on(signal, () => {
        if (firstAt === 0) {
          firstAt = performance.now()
          console.log('\nClosing …')
          resolve()
        } else if (performance.now() - firstAt > SECOND_SIGNAL_MS) {
          process.exit(1)
        }
      })
    }
  })
}
