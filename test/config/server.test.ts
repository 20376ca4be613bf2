import { writeFileSync } from 'node:fs'
import { inspect } from 'node:util'
import t from 'tap'
import { ConfigError, formatProblem } from '../../src/config/errors.ts'
import { loadEnvironment, readText, requireDirectory } from '../../src/config/load.ts'
import { Secret } from '../../src/config/secret.ts'
import { findIgnoredKeys, parseServerConfig } from '../../src/config/server.ts'
import { closest } from '../../src/config/suggest.ts'

const secret = 'f3c1a9d2b7e84f60a1c5d8e2934b7f6a'
const good = {
  GATEWAY_HOST: 'gateway.example.com',
  TUNNEL_HOST: 'tunnel.example.com',
  JWT_SECRET: secret,
  ACME_ENV: 'development',
}

t.test('the three names and a source of certificates are enough', async (t) => {
  const config = parseServerConfig(good, { checkSecret })
  const { jwtSecrets, tcpPorts, trustedProxies, ...rest } = config
  t.strictSame(rest, {
    gatewayHost: 'gateway.example.com',
    gatewayPort: 443,
    httpPort: 80,
    tunnelHost: 'tunnel.example.com',
    tunnelPort: 9443,
    requireScopedTokens: false,
    dashboardPort: 8080,
    dashboardBind: '127.0.0.1',
    dashboardOnGateway: false,
    acmeEnv: 'development',
    acmeCache: './cert-cache',
    acmeDomainBudget: 40,
    acmeCa: undefined,
    http2: 'auto',
    limits: {
      connections: 15_000,
      connectionsPerAddress: 1000,
      streamsPerConnection: 100,
      agents: 2000,
      pendingAgents: 1000,
      headerBytes: 65_536,
      headerLines: 100,
      headerTimeoutSec: 10,
      idleTimeoutSec: 120,
      responseTimeoutSec: 60,
      minUploadRate: 100,
    },
    shutdownGraceSec: 15,
    logLevel: 'info',
    logFormat: 'auto',
    logQuery: false,
  })
  t.strictSame(
    jwtSecrets.map((each) => each.reveal()),
    [secret],
  )
  t.strictSame(tcpPorts.ranges, [])
  t.notOk(tcpPorts.matches(2222))
  t.strictSame(trustedProxies.ranges, [])
  t.notOk(trustedProxies.matches('127.0.0.1'))
  t.ok(Object.isFrozen(config))
})

t.test('JWT_SECRET has one secret or several, the newest first', async (t) => {
  const other = '0a9b8c7d6e5f40312233445566778899'
  const { jwtSecrets } = parse({ JWT_SECRET: `${other}, ${secret}` })
  t.strictSame(
    jwtSecrets.map((each) => each.reveal()),
    [other, secret],
  )
  t.notMatch(inspect(jwtSecrets), other)
})

t.test('TCP_PORTS has the ports that agents may ask for', async (t) => {
  const { tcpPorts } = parse({ TCP_PORTS: ' 30000-30999, 2222,5432 , 30500 - 31000, 31001, 22' })
  t.equal(String(tcpPorts), '22,2222,5432,30000-31001')
  for (const port of [22, 2222, 30_000, 30_999, 31_001]) t.ok(tcpPorts.matches(port), `${port}`)
  for (const port of [0, 21, 2223, 29_999, 31_002]) t.notOk(tcpPorts.matches(port), `${port}`)
  t.ok(parse({ TCP_PORTS: '1-65535' }).tcpPorts.matches(443), 'a range that says so')
})

t.test('TRUSTED_PROXIES has addresses and ranges, of both families', async (t) => {
  const { trustedProxies } = parse({
    TRUSTED_PROXIES: '192.0.2.1, 10.0.0.0/8,2001:DB8::/32,::1, ::ffff:198.51.100.0/120,fe80::/10',
  })
  t.equal(
    String(trustedProxies),
    '192.0.2.1,10.0.0.0/8,2001:db8::/32,::1,198.51.100.0/24,fe80::/10',
  )
  const inside = [
    '192.0.2.1',
    '::ffff:192.0.2.1',
    '::FFFF:c000:201',
    '0:0:0:0:0:ffff:192.0.2.1',
    '10.255.255.255',
    '::ffff:10.0.0.1',
    '2001:db8:ffff::1',
    '::1',
    '198.51.100.77',
    'fe80::1%eth0',
  ]
  const outside = [
    '192.0.2.2',
    '11.0.0.0',
    '2001:db9::',
    '::2',
    '::',
    '198.51.101.1',
    '',
    'x',
    '10.1',
  ]
  for (const address of inside) t.ok(trustedProxies.matches(address), address)
  for (const address of outside) t.notOk(trustedProxies.matches(address), address)
  t.notOk(trustedProxies.matches(undefined), 'a socket that is gone')

  const ofIPv6 = parse({ TRUSTED_PROXIES: '::/0' }).trustedProxies
  t.ok(ofIPv6.matches('2001:db8::1'))
  t.notOk(ofIPv6.matches('192.0.2.1'), 'not all of IPv4 with it')
  t.notOk(ofIPv6.matches('::ffff:192.0.2.1'), 'in either form')
  const ofIPv4 = parse({ TRUSTED_PROXIES: '0.0.0.0/0' }).trustedProxies
  t.ok(ofIPv4.matches('::ffff:192.0.2.1'))
  t.notOk(ofIPv4.matches('::1'))
})

t.test('every value is read in its canonical form', async (t) => {
  const config = parse({
    GATEWAY_HOST: ' Gateway.Example.COM. ',
    GATEWAY_PORT: ' 0 ',
    HTTP_PORT: '0',
    BIND_ADDRESS: '::1',
    DASHBOARD_BIND: 'localhost',
    ACME_ENV: 'OFF',
    TLS_CERT_DIR: '/etc/certs',
    SHUTDOWN_GRACE_SEC: '0',
    LOG_LEVEL: 'Debug',
  })
  t.match(config, {
    gatewayHost: 'gateway.example.com',
    gatewayPort: 0,
    httpPort: 0,
    bindAddress: '::1',
    dashboardBind: 'localhost',
    acmeEnv: 'off',
    tlsCertDir: '/etc/certs',
    shutdownGraceSec: 0,
    logLevel: 'debug',
  })
  t.equal(parse({ GATEWAY_PORT: '', LOG_LEVEL: ' ' }).gatewayPort, 443, 'empty is not set')
})

t.test('the dashboard is on loopback, unless it has a password', async (t) => {
  const password = { DASHBOARD_PASSWORD: 'correct horse' }
  t.equal(parse({}).dashboardBind, '127.0.0.1')
  t.equal(parse(password).dashboardBind, undefined, 'all addresses')
  t.equal(parse({ ...password, BIND_ADDRESS: '192.0.2.1' }).dashboardBind, '192.0.2.1')
  t.equal(parse({ ...password, DASHBOARD_BIND: '::' }).dashboardBind, '::')
  t.equal(parse(password).dashboardPassword?.reveal(), 'correct horse')
  t.equal(parse({ ...password, DASHBOARD_ON_GATEWAY: 'yes' }).dashboardOnGateway, true)
})

t.test("the CA is Let's Encrypt, unless another is named", async (t) => {
  const letsEncrypt = { id: 'letsencrypt.org', directoryUrl: /^https:\/\/acme-v02\.api\./ }
  t.match(parse({ ACME_ENV: undefined }).acmeCa, letsEncrypt)
  t.match(parse({ ACME_ENV: 'Production' }).acmeCa, letsEncrypt)
  t.match(parse({ ACME_ENV: 'staging' }).acmeCa, { directoryUrl: /staging/ })
  t.equal(parse({ ACME_ENV: 'development' }).acmeCa, undefined)
  t.equal(parse({ ACME_ENV: 'off', TLS_CERT_DIR: 'certs' }).acmeCa, undefined)
  const directoryUrl = 'https://ca.test:14000/dir'
  const other = parse({ ACME_ENV: undefined, ACME_DIRECTORY_URL: directoryUrl })
  t.strictSame(other.acmeCa, { id: 'ca.test', directoryUrl })
  const bound = parse({ ACME_EAB_KID: 'kid-1', ACME_EAB_HMAC: 'c2VjcmV0IG9mIHRoZSBDQQ==' })
  t.equal(`${bound.acmeEabHmac}`, '[secret]')
})

t.test('what is not allowed is named, with what is', async (t) => {
  const cases: [env: Record<string, string | undefined>, problem: string][] = [
    [{ GATEWAY_HOST: undefined }, 'GATEWAY_HOST: is required: a host name'],
    [{ GATEWAY_HOST: '10.0.0.1' }, 'GATEWAY_HOST: "10.0.0.1": must be a host name'],
    [{ TUNNEL_HOST: '*.example.com' }, 'TUNNEL_HOST: "*.example.com": must be a host name'],
    [{ GATEWAY_PORT: '65536' }, 'GATEWAY_PORT: "65536": must be a port, 0 to 65535'],
    [{ GATEWAY_PORT: '-1' }, 'GATEWAY_PORT: "-1": must be a port'],
    [{ GATEWAY_PORT: '0x50' }, 'GATEWAY_PORT: "0x50": must be a port'],
    [{ GATEWAY_PORT: '443 8443' }, 'GATEWAY_PORT: "443 8443": must be a port'],
    [{ HTTP_PORT: '443' }, "HTTP_PORT: port 443 is GATEWAY_PORT's already"],
    [{ DASHBOARD_PORT: '9443' }, "DASHBOARD_PORT: port 9443 is TUNNEL_PORT's already"],
    [{ BIND_ADDRESS: 'eth0' }, 'BIND_ADDRESS: "eth0": must be an IP address'],
    [
      { DASHBOARD_BIND: '0.0.0.0' },
      'DASHBOARD_BIND: 0.0.0.0 is no loopback address: set DASHBOARD_PASSWORD too',
    ],
    [{ DASHBOARD_BIND: 'intranet' }, 'DASHBOARD_BIND: "intranet": must be an IP address'],
    [{ DASHBOARD_ON_GATEWAY: 'true' }, 'DASHBOARD_ON_GATEWAY: needs DASHBOARD_PASSWORD'],
    [{ DASHBOARD_PASSWORD: 'short' }, 'DASHBOARD_PASSWORD: must have at least 10 characters'],
    [{ JWT_SECRET: undefined }, 'JWT_SECRET: is required: a secret of at least 32 bytes'],
    [{ JWT_SECRET: 'hunter2' }, 'JWT_SECRET: the secret is short'],
    [{ JWT_SECRET: ` ${secret}` }, 'JWT_SECRET: has white space at its ends'],
    [{ JWT_SECRET: `${secret},hunter2` }, 'JWT_SECRET: number 2: the secret is short'],
    [{ JWT_SECRET: `${secret},` }, 'JWT_SECRET: has a comma with no secret beside it'],
    [{ REQUIRE_SCOPED_TOKENS: 'maybe' }, 'REQUIRE_SCOPED_TOKENS: "maybe": must be true or false'],
    [{ JWT_SECRET: `${secret}\u0007x` }, 'JWT_SECRET: has control characters in it'],
    [
      { ACME_ENV: 'develpment' },
      'ACME_ENV: "develpment": must be production, staging, development or off; did you mean "development"?',
    ],
    [{ ACME_ENV: 'off' }, 'ACME_ENV: no certificates: leave out ACME_ENV=off, or set TLS_CERT_DIR'],
    [{ ACME_EMAIL: 'me' }, 'ACME_EMAIL: "me": must be an e-mail address'],
    [{ ACME_DIRECTORY_URL: 'http://ca.test/dir' }, 'must be an https:// URL'],
    [{ ACME_DIRECTORY_URL: 'https://ca.test/dir' }, 'has no effect with ACME_ENV=development'],
    [{ ACME_EAB_KID: 'kid' }, 'ACME_EAB_KID: needs ACME_EAB_HMAC beside it'],
    [{ ACME_EAB_HMAC: 'a'.repeat(43) }, 'ACME_EAB_HMAC: needs ACME_EAB_KID beside it'],
    [{ ACME_EAB_HMAC: 'not base64!' }, 'ACME_EAB_HMAC: must be a key in base64url'],
    [{ ACME_DOMAIN_BUDGET: '0' }, 'must be a whole number, 1 to 1000000'],
    [{ SHUTDOWN_GRACE_SEC: '15s' }, '"15s": must be a whole number of seconds, 0 to 3600'],
    [{ MAX_HEADER_BYTES: '64' }, '"64": must be a whole number of bytes, 1024 to 1048576'],
    [{ MAX_AGENTS: '99999999999999999999' }, 'must be a whole number, 1 to 100000'],
    [{ TCP_PORTS: '0' }, 'TCP_PORTS: "0": must be ports and ranges of them, such as 2222,'],
    [{ TCP_PORTS: '2-1' }, 'TCP_PORTS: "2-1": must be ports'],
    [{ TCP_PORTS: '1-65536' }, 'TCP_PORTS: "1-65536": must be ports'],
    [{ TCP_PORTS: '-80' }, 'TCP_PORTS: "-80": must be ports'],
    [{ TCP_PORTS: '22,80-' }, 'such as 2222,30000-30999; number 2 of the list is not'],
    [{ TCP_PORTS: '22,' }, 'number 2 of the list is not'],
    [{ TCP_PORTS: '22,443' }, "TCP_PORTS: has port 443, which is GATEWAY_PORT's already"],
    [{ TRUSTED_PROXIES: 'lb.test' }, 'TRUSTED_PROXIES: "lb.test": must be IP addresses and ranges'],
    [{ TRUSTED_PROXIES: '10.0.0.0/33' }, '"10.0.0.0/33": must be IP addresses'],
    [{ TRUSTED_PROXIES: '::/129' }, '"::/129": must be IP addresses'],
    [{ TRUSTED_PROXIES: '::ffff:10.0.0.0/95' }, '"::ffff:10.0.0.0/95": must be IP addresses'],
    [{ TRUSTED_PROXIES: '10.0.0/24' }, '"10.0.0/24": must be IP addresses'],
    [{ TRUSTED_PROXIES: '::1,fe80::1%eth0' }, 'number 2 of the list is not'],
    [{ LOG_LEVEL: 'warning' }, 'LOG_LEVEL: "warning": must be debug, info, warn or error'],
    [{ LOG_FORMAT: 'jsno' }, 'did you mean "json"?'],
  ]
  for (const [env, problem] of cases) {
    const [line, ...more] = problemsOf(env)
    t.match(line, problem)
    t.strictSame(more, [], `only one problem with ${JSON.stringify(env)}`)
  }
})

t.test('all problems are told at once, and none shows a secret', async (t) => {
  const env = {
    GATEWAY_PORT: 'https',
    TUNNEL_HOST: 'bad host\u001b[31m\n',
    JWT_SECRET: 'hunter2',
    ACME_ENV: 'off',
    LOG_LEVEL: 'x'.repeat(500),
  }
  const error = t.throws(() => parseServerConfig(env, { checkSecret })) as unknown as ConfigError
  t.match(error, { name: 'ConfigError', code: 'CONFIG_INVALID' })
  t.match(error.message, 'the configuration has 6 problems')
  const text = error.problems.map(formatProblem).join('\n')
  t.equal(text.split('\n').length, 6)
  for (const key of [
    'GATEWAY_HOST',
    'GATEWAY_PORT',
    'TUNNEL_HOST',
    'JWT_SECRET',
    'LOG_LEVEL',
    'ACME_ENV',
  ]) {
    t.match(text, new RegExp(`^${key}: `, 'm'))
  }
  t.notMatch(text, 'hunter2')
  t.notMatch(text, '\u001b')
  t.ok(text.length < 1500, 'long values are cut')
})

t.test('a secret prints as [secret], wherever it turns up', async (t) => {
  const value = new Secret(secret)
  t.equal(`${value}`, '[secret]')
  t.equal(String(value) + value, '[secret][secret]')
  t.equal(JSON.stringify({ value }), '{"value":"[secret]"}')
  t.equal(inspect({ value }, { depth: 9, showHidden: true }), '{ value: [secret] }')
  t.equal(value.reveal(), secret)
  const config = parseServerConfig(good, { checkSecret })
  t.notMatch(inspect(config, { depth: 9, showHidden: true }) + JSON.stringify(config), secret)
})

t.test('a .env file lies under the environment, and problems name its lines', async (t) => {
  const dir = t.testdir({
    '.env': `\ufeff# comment
export GATEWAY_HOST=gateway.example.com
GATEWAY_PORT = "70000" # too large
TUNNEL_PORT=1
TUNNEL_PORT=x
JWT_SECRET='short'
__proto__=polluted
`,
    dir: {},
  })
  const file = `${dir}/.env`
  const { env, positionOf, keysOfFile } = loadEnvironment(
    { TUNNEL_HOST: 'tunnel.example.com', JWT_SECRET: secret, ACME_ENV: 'development' },
    file,
    { isOptional: false },
  )
  t.equal(env.JWT_SECRET, secret, 'the environment wins')
  t.equal(positionOf('JWT_SECRET'), undefined)
  t.ok(keysOfFile.includes('JWT_SECRET'))
  t.equal(({} as Record<string, unknown>).polluted, undefined)
  t.strictSame(
    problems(() => parseServerConfig(env, { checkSecret, positionOf })),
    [
      `${file}:3: GATEWAY_PORT: "70000": must be a port, 0 to 65535 (0: any free one)`,
      `${file}:5: TUNNEL_PORT: "x": must be a port, 0 to 65535 (0: any free one)`,
    ],
  )
  t.equal(loadEnvironment({}, `${dir}/none`, { isOptional: true }).env.A, undefined)
  t.throws(() => loadEnvironment({}, `${dir}/none`, { isOptional: false }), {
    code: 'CONFIG_FILE_MISSING',
    message: `${dir}/none does not exist`,
  })
  t.throws(() => readText(`${dir}/dir`), { code: 'CONFIG_FILE_UNREADABLE' })
  t.throws(() => readText('/dev/zero/x'), { code: 'CONFIG_FILE_UNREADABLE' })
  for (const mark of ['fffe', 'feff']) {
    writeFileSync(`${dir}/utf-16`, Buffer.from(`${mark}41004200`, 'hex'))
    t.throws(() => readText(`${dir}/utf-16`), {
      message: `${dir}/utf-16 is UTF-16: save it as UTF-8`,
    })
  }
  t.doesNotThrow(() => requireDirectory(dir, 'TLS_CERT_DIR'))
  t.match(
    problems(() => requireDirectory(file, 'TLS_CERT_DIR', { file: '.env', line: 2 })),
    [/^\.env:2: TLS_CERT_DIR: ".*\.env": is no directory$/],
  )
})

t.test('what would have no effect is said', async (t) => {
  const keysOfFile = [
    'GATEWAY_HOTS',
    'log_level',
    'HTTP_PROXY',
    'POSTGRES_PASSWORD',
    'TUNNEL_PORT',
    'DB_PORT',
  ]
  t.strictSame(findIgnoredKeys(keysOfFile), [
    'GATEWAY_HOTS has no effect: did you mean GATEWAY_HOST?',
    'log_level has no effect: did you mean LOG_LEVEL?',
  ])
})

t.test(
  'a misspelt word is recognised by a letter too many, too few, wrong or swapped',
  async (t) => {
    const words = ['hostname', 'target', 'mode']
    const cases = [
      ['hostnam', 'hostname'],
      ['hostnames', 'hostname'],
      ['HOST-NAME', 'hostname'],
      ['tagret', 'target'],
      ['mods', 'mode'],
      ['modus', undefined],
      ['port', undefined],
      ['', undefined],
      ['x'.repeat(100_000), undefined],
    ] as const
    for (const [word, meant] of cases) t.equal(closest(word, words), meant, word.slice(0, 20))
  },
)

function parse(changes: Record<string, string | undefined>) {
  return parseServerConfig({ ...good, ...changes }, { checkSecret })
}

function problemsOf(changes: Record<string, string | undefined>): string[] {
  return problems(() => parse(changes))
}

function problems(parsing: () => unknown): string[] {
  try {
    parsing()
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map(formatProblem)
    throw error
  }
  return []
}

function checkSecret(text: string): string | undefined {
  return text.length < 32 ? 'the secret is short' : undefined
}
