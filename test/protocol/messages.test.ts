import { readFileSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import * as fc from 'fast-check'
import t from 'tap'
import { ProtocolError } from '../../src/protocol/errors.ts'
import { LineDecoder } from '../../src/protocol/lines.ts'
import {
  type Ack,
  AckError,
  formatMessage,
  isFinalRefusal,
  isPortRouteKey,
  type KnownMessage,
  type Message,
  parseMessage,
  parseMode,
  portRouteKey,
  type Register,
  tunnelOffers,
} from '../../src/protocol/messages.ts'

const badMessage = (field: string) => ({
  name: 'ProtocolError',
  code: 'PROTOCOL_BAD_MESSAGE',
  message: `bad control message: ${field}`,
})
const tooLong = { name: 'ProtocolError', code: 'PROTOCOL_LINE_TOO_LONG' }

function transcript(file: string): string[] {
  return readFileSync(new URL(`../fixtures/${file}`, import.meta.url), 'utf8')
    .split('\n')
    .filter((line) => /^(agent|gateway) > /.test(line))
    .map((line) => line.slice(line.indexOf('>') + 2))
}

function register(fields: Partial<Register>): Register {
  return {
    type: 'register',
    token: '',
    routes: new Map(),
    modes: new Map(),
    capabilities: [],
    ...fields,
  }
}

function parseRegister(fields: object): Register {
  return parseMessage(JSON.stringify({ type: 'register', ...fields })) as Register
}

t.test('reads every line of the Go program', async (t) => {
  t.strictSame(transcript('transcript-v1.txt').map(parseMessage), [
    register({
      token:
        'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9' +
        '.eyJleHAiOjE3NjAwMDM2MDAsImlhdCI6MTc2MDAwMDAwMCwiaXNzIjoiYWdlbnQifQ.c2lnbmF0dXJl',
      routes: new Map([
        ['App.Example.com', '127.0.0.1:3000'],
        ['ssh.example.com', '127.0.0.1:22'],
      ]),
      modes: new Map([['ssh.example.com', 'tcp']]),
    }),
    register({}),
    register({
      token: 'a.b.c',
      routes: new Map([['app.example.com', 'http://h/?a=<b>&c\u2028']]),
    }),
    { type: 'ack', ok: true, capabilities: [] },
    { type: 'ack', ok: false, error: 'auth failed', capabilities: [] },
    { type: 'ack', ok: false, error: 'no routes', capabilities: [] },
    {
      type: 'ack',
      ok: false,
      error: 'host already registered: app.example.com',
      capabilities: [],
    },
    { type: 'ping', ts: 1760000000123 },
    { type: 'pong', ts: 1760000000125 },
  ])
})

t.test('reads every line that ours has ever written', async (t) => {
  t.strictSame(transcript('transcript-v2.txt').map(parseMessage), [
    register({
      token: 'a.b.c',
      routes: new Map([
        ['app.example.com', '127.0.0.1:3000'],
        ['ssh.example.com', '127.0.0.1:22'],
      ]),
      modes: new Map([['ssh.example.com', 'tcp']]),
      capabilities: ['proxy-preamble'],
      agent: { id: '01J9ZK', name: 'nas', version: '0.1.0', platform: 'linux-arm64' },
      tunnels: [
        {
          ...{ hostname: 'app.example.com', mode: 'http', target: '127.0.0.1:3000' },
          hostHeader: 'app.local',
        },
        { hostname: 'ssh.example.com', mode: 'tcp', target: '127.0.0.1:22' },
      ],
    }),
    {
      type: 'ack',
      ok: true,
      capabilities: ['proxy-preamble'],
      session: 's-7',
      hosts: ['app.example.com', 'ssh.example.com'],
    },
    {
      type: 'ack',
      ok: false,
      capabilities: ['proxy-preamble'],
      error: 'hostname belongs to the gateway: gw.example.com',
      code: 'HOST_RESERVED',
    },
    { type: 'unknown', name: 'drain' },
    register({
      token: 'a.b.c',
      routes: new Map([
        ['db.example.com', 'localhost:5432'],
        ['own.example.com', 'localhost:443'],
        ['tcp:0', 'localhost:22'],
      ]),
      modes: new Map([
        ['db.example.com', 'tcp'],
        ['own.example.com', 'tls'],
        ['tcp:0', 'tcp'],
      ]),
      capabilities: ['proxy-preamble', 'listen-port'],
      tunnels: [
        {
          hostname: 'db.example.com',
          mode: 'tcp',
          target: 'localhost:5432',
          listenPort: 5432,
          alpn: ['postgresql'],
          idleTimeoutSec: 3600,
        },
        { hostname: 'own.example.com', mode: 'tls', target: 'localhost:443' },
        { hostname: 'tcp:0', mode: 'tcp', target: 'localhost:22', listenPort: 0, ssh: true },
      ],
    }),
    {
      type: 'ack',
      ok: true,
      capabilities: ['proxy-preamble', 'listen-port'],
      session: 's-8',
      hosts: ['db.example.com', 'own.example.com'],
      ports: new Map([
        ['db.example.com', 5432],
        ['tcp:0', 30_017],
      ]),
    },
    {
      type: 'ack',
      ok: false,
      capabilities: ['proxy-preamble', 'listen-port'],
      error: 'port not allowed: 2222',
      code: 'PORT_NOT_ALLOWED',
    },
  ])
})

t.test('writes lines that a Go peer reads', async (t) => {
  const cases: [KnownMessage, string][] = [
    [
      register({
        token: 'a.b.c',
        routes: new Map([['app.example.com', ':3000']]),
        modes: new Map([['app.example.com', 'tcp']]),
      }),
      '{"type":"register","token":"a.b.c","routes":{"app.example.com":":3000"},"modes":{"app.example.com":"tcp"}}\n',
    ],
    [
      register({ token: 't', routes: new Map([['__proto__', 'x']]) }),
      '{"type":"register","token":"t","routes":{"__proto__":"x"}}\n',
    ],
    [{ type: 'ack', ok: true, capabilities: [] }, '{"type":"ack","ok":true}\n'],
    [
      { type: 'ack', ok: false, error: AckError.authFailed, code: 'AUTH_FAILED', capabilities: [] },
      '{"type":"ack","ok":false,"error":"auth failed","code":"AUTH_FAILED"}\n',
    ],
    [
      register({
        token: 't',
        tunnels: [
          {
            hostname: 'tcp:0',
            mode: 'tcp',
            listenPort: 0,
            ssh: true,
            alpn: ['h'],
            idleTimeoutSec: 9,
          },
          { hostname: 'a', mode: 'http', target: ':1', ssh: false, alpn: [], idleTimeoutSec: 0 },
          { hostname: 'b', mode: 'http', protocol: 'h2c', responseTimeoutSec: 0 },
        ],
      }),
      '{"type":"register","token":"t","routes":{},"tunnels":[' +
        '{"hostname":"tcp:0","mode":"tcp","listen_port":0,"ssh":true,"alpn":["h"],"idle_timeout_sec":9},' +
        '{"hostname":"a","mode":"http","target":":1"},' +
        '{"hostname":"b","mode":"http","protocol":"h2c","response_timeout_sec":0}]}\n',
    ],
    [
      { type: 'ack', ok: true, capabilities: [], ports: new Map([['__proto__', 2222]]) },
      '{"type":"ack","ok":true,"ports":{"__proto__":2222}}\n',
    ],
    [
      { type: 'update', tunnels: [{ hostname: 'a', mode: 'tcp', target: ':1', listenPort: 0 }] },
      '{"type":"update","tunnels":[{"hostname":"a","mode":"tcp","target":":1","listen_port":0}]}\n',
    ],
    [
      { type: 'updated', ok: true, hosts: ['a'], ports: new Map([['a', 2222]]) },
      '{"type":"updated","ok":true,"hosts":["a"],"ports":{"a":2222}}\n',
    ],
    [
      { type: 'updated', ok: false, error: 'no routes', code: 'NO_ROUTES' },
      '{"type":"updated","ok":false,"error":"no routes","code":"NO_ROUTES"}\n',
    ],
    [{ type: 'replaced', session: 's-2' }, '{"type":"replaced","session":"s-2"}\n'],
    [{ type: 'ping', ts: 1760000000123 }, '{"type":"ping","ts":1760000000123}\n'],
    [{ type: 'pong', ts: 0 }, '{"type":"pong","ts":0}\n'],
    [{ type: 'ack', ok: true, capabilities: [], ts: 9 }, '{"type":"ack","ok":true,"ts":9}\n'],
    [
      {
        type: 'requests',
        latest: [{ hostname: 'a', method: 'GET', path: '/x', status: 200, durationMs: 3 }],
        counts: new Map([['a', 7]]),
      },
      '{"type":"requests","latest":[{"hostname":"a","method":"GET","path":"/x","status":200,"duration_ms":3}],"counts":{"a":7}}\n',
    ],
  ]
  for (const [message, line] of cases) t.equal(formatMessage(message), line)
})

t.test('what is written reads back as the same, whatever is in it', async () => {
  fc.assert(
    fc.property(anyMessage(), (message) => {
      const line = formatMessage(message)
      if (line.indexOf('\n') !== line.length - 1) return false
      return isDeepStrictEqual(sorted(parseMessage(line.slice(0, -1))), sorted(message))
    }),
    { numRuns: 300 },
  )
})

t.test('a field that is wrong is named, and its value is not shown', async (t) => {
  const cases: [unknown, string][] = [
    [null, 'type is missing'],
    [true, 'message is not an object'],
    [[], 'message is not an object'],
    ['register', 'message is not an object'],
    [{}, 'type is missing'],
    [{ type: null }, 'type is missing'],
    [{ type: '' }, 'type is missing'],
    [{ type: 7 }, 'type is not text'],
    [{ type: ['register'] }, 'type is not text'],
    [{ type: 'register', token: 7 }, 'register.token is not text'],
    [{ type: 'register', token: {} }, 'register.token is not text'],
    [
      { type: 'register', token: 'x'.repeat(8193) },
      'register.token is longer than 8192 characters',
    ],
    [{ type: 'register', routes: [] }, 'register.routes is not an object'],
    [{ type: 'update', tunnels: {} }, 'update.tunnels is not an array'],
    [{ type: 'update', tunnels: [{}] }, 'update.tunnels[0].hostname is missing'],
    [{ type: 'updated', ok: 1 }, 'updated.ok is not true or false'],
    [{ type: 'updated', ok: true, ports: { a: 0 } }, 'updated.ports["a"] is not from 1 to 65535'],
    [{ type: 'replaced', session: 7 }, 'replaced.session is not text'],
    [{ type: 'register', routes: 'a' }, 'register.routes is not an object'],
    [{ type: 'register', routes: { 'a.b': 1 } }, 'register.routes["a.b"] is not text'],
    [{ type: 'register', routes: { 'a.b': null } }, 'register.routes["a.b"] is not text'],
    [{ type: 'register', routes: { 'a"\n': {} } }, 'register.routes["a\\"\\n"] is not text'],
    [
      { type: 'register', routes: { ['n'.repeat(99)]: 1 } },
      `register.routes["${'n'.repeat(80)}…"] is not text`,
    ],
    [
      { type: 'register', routes: { ['n'.repeat(8193)]: '' } },
      'a name in register.routes is longer than 8192 characters',
    ],
    [
      { type: 'register', routes: numbered(1001) },
      'register.routes has 1001 entries, more than 1000',
    ],
    [{ type: 'register', modes: { a: true } }, 'register.modes["a"] is not text'],
    [{ type: 'register', agent: 'nas' }, 'register.agent is not an object'],
    [{ type: 'register', agent: { id: 7 } }, 'register.agent.id is not text'],
    [{ type: 'register', agent: { platform: [] } }, 'register.agent.platform is not text'],
    [{ type: 'register', capabilities: 'a' }, 'register.capabilities is not an array'],
    [{ type: 'register', capabilities: ['a', 7] }, 'register.capabilities[1] is not text'],
    [{ type: 'register', capabilities: [null] }, 'register.capabilities[0] is not text'],
    [{ type: 'register', tunnels: {} }, 'register.tunnels is not an array'],
    [{ type: 'register', tunnels: [7] }, 'register.tunnels[0] is not an object'],
    [{ type: 'register', tunnels: [null] }, 'register.tunnels[0].hostname is missing'],
    [{ type: 'register', tunnels: [{}] }, 'register.tunnels[0].hostname is missing'],
    [
      { type: 'register', tunnels: [{ hostname: 'a', mode: 1 }] },
      'register.tunnels[0].mode is not text',
    ],
    [
      { type: 'register', tunnels: [{ hostname: 'a', target: [] }] },
      'register.tunnels[0].target is not text',
    ],
    [
      { type: 'register', tunnels: [{ hostname: 'a' }, { hostname: 'b' }, { hostname: 'a' }] },
      'register.tunnels[2].hostname is there twice',
    ],
    ...wrongOptions().map(([option, problem]): [unknown, string] => [
      { type: 'register', tunnels: [{ hostname: 'a', ...option }] },
      `register.tunnels[0].${problem}`,
    ]),
    [{ type: 'ack', ports: [2222] }, 'ack.ports is not an object'],
    [{ type: 'ack', ports: { a: '2222' } }, 'ack.ports["a"] is not an integer'],
    [{ type: 'ack', ports: { a: 0 } }, 'ack.ports["a"] is not from 1 to 65535'],
    [{ type: 'ack', ports: { a: 65_536 } }, 'ack.ports["a"] is not from 1 to 65535'],
    [{ type: 'ack', ports: { a: null } }, 'ack.ports["a"] is missing'],
    [{ type: 'ack', ok: 'true' }, 'ack.ok is not true or false'],
    [{ type: 'ack', ok: 1 }, 'ack.ok is not true or false'],
    [{ type: 'ack', error: 7 }, 'ack.error is not text'],
    [{ type: 'ack', code: {} }, 'ack.code is not text'],
    [{ type: 'ack', session: 7 }, 'ack.session is not text'],
    [{ type: 'ack', hosts: [7] }, 'ack.hosts[0] is not text'],
    [{ type: 'ping', ts: '7' }, 'ping.ts is not an integer'],
    [{ type: 'ping', ts: 7.5 }, 'ping.ts is not an integer'],
    [{ type: 'pong', ts: 2 ** 53 }, 'pong.ts is not an integer'],
    [{ type: 'ack', ts: -1 }, 'ack.ts is not from 0 to'],
    [{ type: 'requests', latest: 7 }, 'requests.latest is not an array'],
    [{ type: 'requests', latest: [{ path: 7 }] }, 'requests.latest[0].path is not text'],
    [{ type: 'requests', counts: { a: '7' } }, 'requests.counts["a"] is not an integer'],
  ]
  for (const [value, field] of cases) {
    t.throws(() => parseMessage(JSON.stringify(value)), badMessage(field), field)
  }
})

/** Of a tunnel, and what is said of each. */
function wrongOptions(): [option: object, problem: string][] {
  return [
    [{ listen_port: '2222' }, 'listen_port is not an integer'],
    [{ listen_port: 22.5 }, 'listen_port is not an integer'],
    [{ listen_port: -1 }, 'listen_port is not from 0 to 65535'],
    [{ listen_port: 65_536 }, 'listen_port is not from 0 to 65535'],
    [{ ssh: 'yes' }, 'ssh is not true or false'],
    [{ alpn: 'h2' }, 'alpn is not an array'],
    [{ alpn: ['h2', 7] }, 'alpn[1] is not text'],
    [{ alpn: ['h2', ''] }, 'alpn[1] is not 1 to 255 printable characters'],
    [{ alpn: ['x'.repeat(256)] }, 'alpn[0] is not 1 to 255 printable characters'],
    [{ alpn: ['h 2'] }, 'alpn[0] is not 1 to 255 printable characters'],
    [{ alpn: Array(17).fill('h2') }, 'alpn has 17 entries, more than 16'],
    [{ idle_timeout_sec: -1 }, 'idle_timeout_sec is not from 0 to 2147483'],
    [{ idle_timeout_sec: 2_147_484 }, 'idle_timeout_sec is not from 0 to 2147483'],
    [{ idle_timeout_sec: '10m' }, 'idle_timeout_sec is not an integer'],
    [{ response_timeout_sec: -1 }, 'response_timeout_sec is not from 0 to 2147483'],
    [{ protocol: 'h3' }, 'protocol is none of h2c, h2'],
    [{ protocol: 2 }, 'protocol is not text'],
    [{ host_header: ['a'] }, 'host_header is not text'],
    [{ strip_prefix: 1 }, 'strip_prefix is not true or false'],
    [{ allow_ips: '10.0.0.1' }, 'allow_ips is not an array'],
    [{ deny_ips: [1] }, 'deny_ips[0] is not text'],
    [{ basic_auth: { a: 'b' } }, 'basic_auth is not an array'],
    [{ basic_auth: Array(101).fill('') }, 'basic_auth has 101 entries, more than 100'],
    [{ request_headers: [] }, 'request_headers is not an object'],
    [{ request_headers: { set: { a: 1 } } }, 'request_headers.set["a"] is not text'],
    [
      { response_headers: { remove: Array(101).fill('a') } },
      'response_headers has 101 entries, more than 100',
    ],
  ]
}

t.test("a tunnel's rules come over as they are; a list without entries is a list", async (t) => {
  const tunnel = {
    ...{ hostname: 'a.test/b', mode: 'http', hostHeader: 'c', stripPrefix: true },
    requestHeaders: { set: new Map([['__proto__', 'd']]), remove: [] },
    responseHeaders: { set: new Map(), remove: ['e'] },
    ...{ basicAuth: ['f:g'], allowIps: [], denyIps: ['10.0.0.1'] },
  }
  const line = formatMessage(register({ tunnels: [tunnel] }))
  t.match(line, '"request_headers":{"set":{"__proto__":"d"}},"response_headers":{"remove":["e"]}')
  t.match(line, '"allow_ips":[]')
  t.strictSame(parseRegister(JSON.parse(line)).tunnels, [tunnel])
})

t.test(
  'an option that is absent, null or empty says nothing; port 0 and no time to wait say something',
  async (t) => {
    const offers = parseRegister({
      tunnels: [
        { hostname: 'a', listen_port: null, ssh: null, alpn: null, idle_timeout_sec: null },
        { hostname: 'b', ssh: false, alpn: [], idle_timeout_sec: 0 },
        { hostname: 'c', listen_port: 0, idle_timeout_sec: 2_147_483, later_option: [{}] },
        { hostname: 'd', protocol: 'h2', response_timeout_sec: 0 },
        { hostname: 'e', protocol: null, response_timeout_sec: null },
      ],
    }).tunnels
    t.strictSame(offers, [
      { hostname: 'a', mode: 'http' },
      { hostname: 'b', mode: 'http' },
      { hostname: 'c', mode: 'http', listenPort: 0, idleTimeoutSec: 2_147_483 },
      { hostname: 'd', mode: 'http', protocol: 'h2', responseTimeoutSec: 0 },
      { hostname: 'e', mode: 'http' },
    ])
  },
)

t.test('a tunnel without a name has its port for one', async (t) => {
  t.equal(portRouteKey(2222), 'tcp:2222')
  t.ok(isPortRouteKey({ hostname: 'tcp:2222', listenPort: 2222 }))
  t.ok(isPortRouteKey({ hostname: 'tcp:0', listenPort: 0 }))
  t.notOk(isPortRouteKey({ hostname: 'tcp:2222' }), 'no port was asked for')
  t.notOk(isPortRouteKey({ hostname: 'tcp:2222', listenPort: 2223 }))
  t.notOk(isPortRouteKey({ hostname: 'ssh.example.com', listenPort: 22 }))
})

t.test('a line that is not JSON is refused without a word of what is in it', async (t) => {
  const lines = [
    '',
    ' ',
    '{',
    '{"type":"register","token":"SECRET"',
    '{"type":"register","token":"SECRET}',
    '{"type":"register","token":"SECRET"}x',
    "{'type':'register','token':'SECRET'}",
    'SECRET',
    '{"type":"ping","ts":NaN}',
    '\u0000',
    '\ufeff{"type":"ping","ts":1}',
  ]
  for (const line of lines) {
    t.throws(() => parseMessage(line), badMessage('message is not JSON'), JSON.stringify(line))
  }
})

t.test('nesting is bounded, and brackets in texts are no nesting', async (t) => {
  const nested = (depth: number) =>
    `{"type":"ping","ts":1,"x":${'['.repeat(depth)}${']'.repeat(depth)}}`
  t.strictSame(parseMessage(nested(15)), { type: 'ping', ts: 1 })
  const tooDeep = badMessage('message is nested deeper than 16')
  t.throws(() => parseMessage(nested(16)), tooDeep)
  t.throws(() => parseMessage('['.repeat(65_536)), tooDeep)
  t.throws(() => parseMessage('{"a":'.repeat(10_000)), tooDeep)
  const text = `\\"${'[{'.repeat(40)}`
  const line = `{"type":"ack","ok":false,"error":"${text}"}`
  t.equal((parseMessage(line) as Ack).error, `"${'[{'.repeat(40)}`)
})

t.test('a line beyond 64 KiB is neither read nor written', async (t) => {
  const line = (bytes: number) => `{"type":"ping","ts":1}`.padEnd(bytes, ' ')
  t.strictSame(parseMessage(line(65_536)), { type: 'ping', ts: 1 })
  t.throws(() => parseMessage(line(65_537)), tooLong)

  const routes = (count: number) =>
    register({ routes: new Map(Object.entries(numbered(count, 'x'.repeat(100)))) })
  t.ok(formatMessage(routes(500)))
  t.throws(() => formatMessage(routes(900)), {
    ...tooLong,
    message: /^the register message has \d+ bytes, and a peer reads 65536: offer fewer tunnels/,
  })
})

t.test('a hostname is only a name, even one that objects know', async (t) => {
  const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'length', '0']
  const line = `{"type":"register","routes":{${names.map((n) => `"${n}":"t"`)}},"modes":{"__proto__":"tcp"}}`
  const message = parseMessage(line) as Register
  t.strictSame([...message.routes.keys()].sort(), [...names].sort())
  t.equal(message.modes.get('__proto__'), 'tcp')
  t.equal(message.modes.get('constructor'), undefined)
  t.equal(({} as Record<string, unknown>).tcp, undefined)
  t.strictSame(parseMessage('{"__proto__":{"type":"ping"},"type":"pong"}'), { type: 'pong', ts: 0 })
  t.throws(
    () => parseMessage('{"__proto__":{"type":"ping","ts":1}}'),
    badMessage('type is missing'),
  )
})

t.test('unknown types and unknown fields come from newer peers', async (t) => {
  t.strictSame(parseMessage('{"type":"REGISTER"}'), { type: 'unknown', name: 'REGISTER' })
  t.strictSame(parseMessage('{"type":"constructor","x":[{}]}'), {
    type: 'unknown',
    name: 'constructor',
  })
  t.strictSame(parseMessage('{"type":"ping","ts":1,"deadline":[2]}'), { type: 'ping', ts: 1 })
})

t.test('the full form holds for the names it has, routes and modes for the others', async (t) => {
  const offers = tunnelOffers(
    parseRegister({
      routes: { both: ':1', 'only.route': ':2', 'other.mode': ':3', empty: ':4' },
      modes: { both: 'tcp', 'other.mode': 'TCP', empty: '', nowhere: 'tcp' },
      tunnels: [
        { hostname: 'full', mode: 'Tls', target: ':9' },
        { hostname: 'both' },
        { hostname: 'bare', mode: 'tcp' },
      ],
    }),
  )
  t.strictSame(offers, [
    { hostname: 'full', mode: 'tls', target: ':9' },
    { hostname: 'both', mode: 'http', target: ':1' },
    { hostname: 'bare', mode: 'tcp' },
    { hostname: 'only.route', mode: 'http', target: ':2' },
    { hostname: 'other.mode', mode: 'tcp', target: ':3' },
    { hostname: 'empty', mode: 'http', target: ':4' },
  ])
  t.strictSame(tunnelOffers(register({})), [])
})

t.test('modes compare without case', async (t) => {
  t.equal(parseMode('HTTP'), 'http')
  t.equal(parseMode('tcp'), 'tcp')
  t.equal(parseMode('Tls'), 'tls')
  for (const mode of ['', 'https', ' tcp', 'constructor']) t.equal(parseMode(mode), undefined)
})

t.test('a refusal is final when trying again can change nothing', async (t) => {
  const refusal = (fields: Partial<Ack>): Ack => ({
    type: 'ack',
    ok: false,
    capabilities: [],
    ...fields,
  })
  const final = ['AUTH_FAILED', 'NO_ROUTES', 'HOST_INVALID', 'HOST_RESERVED', 'MODE_UNKNOWN']
  for (const code of [...final, 'PORT_NOT_ALLOWED', 'BAD_REGISTER'])
    t.ok(isFinalRefusal(refusal({ code })), code)
  const passing = [
    'HOST_TAKEN',
    'PORT_TAKEN',
    'SSH_TAKEN',
    'SHUTTING_DOWN',
    'FROM_A_NEWER_GATEWAY',
    '',
  ]
  for (const code of passing) {
    t.notOk(isFinalRefusal(refusal({ code })), code)
  }
  t.ok(isFinalRefusal(refusal({ error: 'auth failed' })))
  t.ok(isFinalRefusal(refusal({ error: 'no routes' })))
  t.notOk(isFinalRefusal(refusal({ error: AckError.hostTaken('a.example.com') })))
  t.notOk(isFinalRefusal(refusal({ error: 'auth failed', code: 'HOST_TAKEN' })), 'code goes first')
  t.notOk(isFinalRefusal(refusal({})))
  t.notOk(isFinalRefusal({ ...refusal({ code: 'AUTH_FAILED' }), ok: true }))
})

t.test('the texts that a Go agent may know are kept to the letter', async (t) => {
  t.equal(AckError.authFailed, 'auth failed')
  t.equal(AckError.noRoutes, 'no routes')
  t.equal(AckError.hostTaken('App.example.com'), 'host already registered: App.example.com')
})

t.test('no bytes make a parser throw anything but a ProtocolError', async () => {
  const lines = ['transcript-v1.txt', 'transcript-v2.txt'].flatMap(transcript)
  const mutated = fc
    .tuple(fc.constantFrom(...lines), fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 6 }))
    .map(([line, changes]) => {
      const bytes = Buffer.from(line)
      for (const [at, byte] of changes) bytes[at % bytes.length] = byte
      return bytes
    })
  const random = fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes))
  const json = fc.json().map((text) => Buffer.from(`{"type":"register","routes":${text}}`))
  fc.assert(
    fc.property(fc.oneof(mutated, random, json), (bytes) => {
      try {
        for (const line of new LineDecoder().push(Buffer.concat([bytes, Buffer.from('\n')]))) {
          parseMessage(line)
        }
      } catch (error) {
        return error instanceof ProtocolError
      }
      return true
    }),
    { numRuns: 5000 },
  )
})

t.test('lines come out whole, wherever the chunks were cut', async (t) => {
  const stream = Buffer.from('{"a":1}\n\n{"b":"é€😀"}\r\n \n\r\nlast\nnot yet')
  const expected = ['{"a":1}', '{"b":"é€😀"}', ' ', 'last']
  t.strictSame(new LineDecoder().push(stream), expected, 'in one chunk')
  for (let cut = 0; cut <= stream.length; cut++) {
    const lines = new LineDecoder()
    t.strictSame(
      [...lines.push(stream.subarray(0, cut)), ...lines.push(stream.subarray(cut))],
      expected,
      `cut at ${cut}`,
    )
  }
  const bytewise = new LineDecoder()
  t.strictSame(
    [...stream].flatMap((byte) => bytewise.push(Buffer.from([byte]))),
    expected,
    'byte by byte',
  )
})

t.test('bytes that are no UTF-8 become U+FFFD', async (t) => {
  t.strictSame(new LineDecoder().push(Buffer.from('61ff62c30a', 'hex')), ['a\ufffdb\ufffd'])
})

t.test('a line of exactly the limit passes, one byte more does not', async (t) => {
  for (const chunkBytes of [1, 7, 4096, 65_535, 65_536, 65_537, 200_000]) {
    const longest = Buffer.from(`${'x'.repeat(65_536)}\nnext\n`)
    t.strictSame(
      pushIn(longest, chunkBytes, new LineDecoder()).map((line) => line.length),
      [65_536, 4],
      `chunks of ${chunkBytes}`,
    )
    const longer = Buffer.from(`${'x'.repeat(65_537)}\n`)
    t.throws(
      () => pushIn(longer, chunkBytes, new LineDecoder()),
      tooLong,
      `chunks of ${chunkBytes}`,
    )
  }
})

t.test('a line is refused before its end is seen, and nothing is read after it', async (t) => {
  const lines = new LineDecoder(8)
  t.strictSame(lines.push(Buffer.from('12345678')), [])
  t.throws(() => lines.push(Buffer.from('9')), tooLong)
  t.throws(() => lines.push(Buffer.from('\nok\n')), tooLong)
  t.throws(() => new LineDecoder(8).push(Buffer.from('ok\n123456789')), tooLong)
  t.strictSame(new LineDecoder(0).push(Buffer.from('\n\n')), [])
  t.throws(() => new LineDecoder(0).push(Buffer.from('1')), tooLong)
})

function pushIn(bytes: Buffer, chunkBytes: number, lines: LineDecoder): string[] {
  const found: string[] = []
  for (let at = 0; at < bytes.length; at += chunkBytes) {
    found.push(...lines.push(bytes.subarray(at, at + chunkBytes)))
  }
  return found
}

function numbered(count: number, value = ''): Record<string, string> {
  return Object.fromEntries(Array.from({ length: count }, (_, index) => [`n${index}`, value]))
}

/** Maps as sorted pairs: an object does not keep the order of names like `7`. */
function sorted(message: Message): unknown {
  const pairs = (map: ReadonlyMap<string, unknown>) => [...map].sort(([a], [b]) => (a < b ? -1 : 1))
  if (message.type === 'ack') return { ...message, ports: message.ports && pairs(message.ports) }
  if (message.type !== 'register') return message
  return { ...message, routes: pairs(message.routes), modes: pairs(message.modes) }
}

function anyMessage(): fc.Arbitrary<KnownMessage> {
  const text = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 40 }),
    fc.constantFrom('__proto__', 'constructor', '7', '\u2028', '<&>', '\n', '"'),
  )
  const someText = text.filter((value) => value !== '')
  const texts = fc.array(text, { maxLength: 4 })
  const map = (value: fc.Arbitrary<string>) =>
    fc.array(fc.tuple(text, value), { maxLength: 6 }).map((pairs) => new Map(pairs))
  const lower = text.map((value) => value.toLowerCase())
  const tunnel = fc.record(
    {
      hostname: someText,
      mode: lower.filter((value) => value !== ''),
      target: someText,
      listenPort: fc.nat(65_535),
      ssh: fc.constant(true),
      alpn: fc.array(
        fc.string({ minLength: 1 }).filter((name) => !name.includes(' ')),
        {
          minLength: 1,
          maxLength: 3,
        },
      ),
      idleTimeoutSec: fc.integer({ min: 1, max: 2_147_483 }),
    },
    { requiredKeys: ['hostname', 'mode'], noNullPrototype: true },
  )
  return fc.oneof(
    fc.record(
      {
        type: fc.constant('register' as const),
        token: text,
        routes: map(text),
        modes: map(lower),
        capabilities: texts,
        agent: fc.record(
          { id: someText, name: someText, version: someText, platform: someText },
          { requiredKeys: [], noNullPrototype: true },
        ),
        tunnels: fc.uniqueArray(tunnel, { maxLength: 4, selector: (offer) => offer.hostname }),
      },
      { requiredKeys: ['type', 'token', 'routes', 'modes', 'capabilities'], noNullPrototype: true },
    ),
    fc.record(
      {
        type: fc.constant('ack' as const),
        ok: fc.boolean(),
        capabilities: texts,
        error: someText,
        code: someText,
        session: someText,
        hosts: texts,
        ports: fc
          .array(fc.tuple(text, fc.integer({ min: 1, max: 65_535 })), {
            minLength: 1,
            maxLength: 3,
          })
          .map((pairs) => new Map(pairs)),
      },
      { requiredKeys: ['type', 'ok', 'capabilities'], noNullPrototype: true },
    ),
    fc.record(
      {
        type: fc.constant('update' as const),
        tunnels: fc.uniqueArray(tunnel, { maxLength: 4, selector: (offer) => offer.hostname }),
      },
      { noNullPrototype: true },
    ),
    fc.record(
      { type: fc.constantFrom('ping' as const, 'pong' as const), ts: fc.maxSafeInteger() },
      { noNullPrototype: true },
    ),
  )
}
