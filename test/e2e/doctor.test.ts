import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { mintToken } from '../../src/auth/jwt.ts'
import { PortRanges } from '../../src/net/port-ranges.ts'
import {
  cli,
  sharedSecret,
  startGateway,
  temporaryDirectory,
  tunnelHost,
} from '../support/programs.ts'
import { closedPort, serveHttp } from './targets.ts'

// `gotunnel-agent doctor`, as a person runs it who wonders why nothing works.

const gateway = await startGateway(t)
const site = await serveHttp(t, (_request, response) => response.end('hello'))
const directory = temporaryDirectory(t)
const good = {
  tunnel_addr: `${tunnelHost}:${gateway.ports.tunnel}`,
  ca_file: gateway.caFile,
  jwt_secret: sharedSecret,
  tunnels: [{ hostname: 'app.localhost', target: `127.0.0.1:${site}` }],
}

/** What it prints, and its exit code. */
function examine(
  config: object,
  ...nodeOptions: string[]
): Promise<{ code: number; said: string }> {
  const file = join(directory, 'config.yaml')
  writeFileSync(file, JSON.stringify(config), { mode: 0o600 })
  const agent = [...nodeOptions, join(cli, 'agent.js'), 'doctor', '--config', file]
  const env = { PATH: process.env.PATH }
  return new Promise((resolve) => {
    execFile(process.execPath, agent, { env }, (error, stdout, stderr) => {
      resolve({ code: Number(error?.code ?? 0), said: stdout + stderr })
    })
  })
}

t.test('finds all well where it is, and offers nothing meanwhile', async (t) => {
  const { code, said } = await examine(good)
  t.equal(code, 0)
  const subjects = [...said.matchAll(/^ok {4}(\w+(?: name)?) {2,}/gm)].map(([, subject]) => subject)
  t.strictSame(subjects, [
    ...['configuration', 'name', 'connection', 'certificate', 'clock', 'token'],
    ...['public name', 'target'],
  ])
  for (const port of [443, 80]) t.match(said, new RegExp(`public port +localhost:${port}`))
  t.strictSame(gateway.program.logged('agent connected'), [])
})

const clock = (seconds: number) =>
  `data:text/javascript,const now = Date.now; Date.now = () => now() + ${seconds} * 1000`
const nobody = await closedPort()
const ailments: [name: string, config: object, said: RegExp, ...nodeOptions: string[]][] = [
  ['a wrong file', { ...good, tunnels: [] }, /tunnels: is required/],
  [
    'a gateway that is away',
    { ...good, tunnel_addr: `${tunnelHost}:${nobody}` },
    /^FAIL {2}connection +localhost:\d+ refused the connection: check that the gateway runs/m,
  ],
  [
    'a name that is none',
    { ...good, tunnel_addr: 'gateway.invalid:9443' },
    /^FAIL {2}name +gateway\.invalid cannot be looked up/m,
  ],
  [
    'a CA that is not trusted',
    { ...good, ca_file: undefined },
    /^FAIL {2}connection .*set ca_file/m,
  ],
  [
    'another secret',
    { ...good, jwt_secret: sharedSecret.split('').reverse().join('') },
    /^FAIL {2}token +.*auth failed.*JWT_SECRET/m,
  ],
  [
    'a clock that is ahead',
    good,
    /^FAIL {2}clock +300 s ahead of the gateway's/m,
    '--import',
    clock(300),
  ],
  [
    'a public name that nobody finds',
    { ...good, tunnels: [{ hostname: 'app.invalid', target: site }] },
    /^FAIL {2}public name +app\.invalid cannot be looked up .*make a DNS record/m,
  ],
  [
    'a target that is away',
    { ...good, tunnels: [{ hostname: 'app.localhost', target: nobody }] },
    /^FAIL {2}target +cannot reach \d+ for app\.localhost: .*is the service up\?/m,
  ],
]
for (const [name, config, expected, ...nodeOptions] of ailments) {
  t.test(`finds ${name}`, async (t) => {
    const { code, said } = await examine(config, ...nodeOptions)
    t.match(said, expected)
    t.equal(code, name === 'a wrong file' ? 2 : 1)
    t.equal(
      said.match(/^FAIL/gm)?.length ?? 0,
      name === 'a wrong file' ? 0 : said.includes('FAIL  name') ? 2 : 1,
    )
    t.notMatch(said, sharedSecret)
  })
}

t.test('finds a token that is for other names, and one that nobody checks', async (t) => {
  const scope = { hosts: ['other.localhost'], ports: new PortRanges([]), ssh: false }
  const token = mintToken({ secret: sharedSecret, name: 'alice', expireSec: 60, scope })
  const { jwt_secret: _, ...rest } = good
  const narrow = await examine({ ...rest, token })
  t.equal(narrow.code, 1)
  t.match(narrow.said, /^FAIL {2}scope +the token is for other\.localhost, not for app\.localhost/m)
  t.notMatch(narrow.said, token)

  const trusting = await examine({ ...good, ca_file: undefined, skip_tls_verify: true })
  t.equal(trusting.code, 0)
  t.match(trusting.said, /^\? {5}certificate .*NOT checked/m)
})
