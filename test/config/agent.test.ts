import { inspect } from 'node:util'
import t from 'tap'
import { isPasswordHash } from '../../src/auth/password.ts'
import type { AgentConfig } from '../../src/config/agent.ts'
import { parseAgentConfig } from '../../src/config/agent-file.ts'
import { ConfigError, formatProblem } from '../../src/config/errors.ts'
import { interpolate } from '../../src/config/interpolate.ts'

const secret = 'f3c1a9d2b7e84f60a1c5d8e2934b7f6a'
const head = `tunnel_addr: tunnel.example.com:9443\njwt_secret: ${secret}\n`
const tunnels = 'tunnels:\n  - hostname: app.example.com\n    target: localhost:3000\n'

t.test('a file of the Go program is taken as it is', async (t) => {
  const config = parse(`
tunnel_addr: "tunnel.example.com:9443"
skip_tls_verify: true
jwt_secret: "${secret}"
jwt_issuer: "mytunnel"
jwt_expire_sec: 600
tunnels:
  - hostname: "App.example.com"
    target: "127.0.0.1:8080"
    mode: "HTTP"
  - hostname: ssh.example.com
    target: :22
    mode: tcp
`)
  const { credentials, ...rest } = config
  t.strictSame(rest, {
    logLevel: 'info',
    logFormat: 'auto',
    shutdownGraceSec: 15,
    gateways: [{ host: 'tunnel.example.com', port: 9443 }],
    skipTlsVerify: true,
    tunnels: [
      {
        hostname: 'App.example.com',
        target: { kind: 'tcp', host: '127.0.0.1', port: 8080, text: '127.0.0.1:8080' },
        mode: 'http',
      },
      {
        hostname: 'ssh.example.com',
        target: { kind: 'tcp', host: 'localhost', port: 22, text: ':22' },
        mode: 'tcp',
      },
    ],
  })
  t.match(credentials, { kind: 'secret', issuer: 'mytunnel', expireSec: 600 })
  t.equal(credentials.kind === 'secret' && credentials.secret.reveal(), secret)
  t.notMatch(inspect(config, { depth: 9 }) + JSON.stringify(config), secret)
})

t.test('what the Go program has not: a CA, an id, a token, log settings', async (t) => {
  const text = `
tunnel_addr: '[::1]'
ca_file: ../ca.pem
agent_id: office-1
token: aaa.bbb.ccc
skip_tls_verify: no
${tunnels}`
  const config = parse(text, { LOG_LEVEL: 'warn', LOG_FORMAT: 'json' }, '/etc/gotunnel/config.yaml')
  t.match(config, {
    gateways: [{ host: '::1', port: 9443 }],
    caFile: '/etc/ca.pem',
    agentId: 'office-1',
    skipTlsVerify: false,
    credentials: { kind: 'token' },
    logLevel: 'warn',
    logFormat: 'json',
  })
  t.equal(config.credentials.kind === 'token' && config.credentials.token.reveal(), 'aaa.bbb.ccc')
})

t.test('several gateways, each by its proxy or none', async (t) => {
  const of = (text: string, env = {}) => {
    const config = parse(`${text}\ntoken: aaa.bbb.ccc\n${tunnels}`, env)
    return config.gateways.map(({ host, port, proxy }) => `${host}:${port} ${proxy?.host ?? ''}`)
  }
  t.strictSame(of('tunnel_addr: [a.example, b.example:443]'), ['a.example:9443 ', 'b.example:443 '])
  const env = { HTTPS_PROXY: 'http://proxy:3128', NO_PROXY: 'b.example' }
  t.strictSame(of('tunnel_addr: a.example, b.example', env), [
    'a.example:9443 proxy',
    'b.example:9443 ',
  ])
  t.strictSame(of('tunnel_addr: a.example\nproxy: none', env), ['a.example:9443 '])
  t.strictSame(of('tunnel_addr: b.example\nproxy: socks5://other', env), ['b.example:9443 other'])
})

t.test('targets', async (t) => {
  const cases: [text: string, host: string, port: number][] = [
    ['localhost:3000', 'localhost', 3000],
    ['192.168.1.5:80', '192.168.1.5', 80],
    ["'[::1]:80'", '::1', 80],
    ['db_1:5432', 'db_1', 5432],
    [':8080', 'localhost', 8080],
    ['8080', 'localhost', 8080],
    ['http://nas', 'nas', 80],
    ['http://nas/', 'nas', 80],
    ['HTTP://nas:8080', 'nas', 8080],
    ["'http://[fe80::1]:8080/'", 'fe80::1', 8080],
  ]
  for (const [text, host, port] of cases) {
    const { tunnels } = parse(`${head}tunnels: [{ hostname: a.example, target: ${text} }]`)
    const typed = text.replaceAll("'", '')
    t.strictSame(tunnels[0]?.target, { kind: 'tcp', host, port, text: typed }, text)
  }
})

t.test('targets that speak something else', async (t) => {
  const only = (fields: string) => {
    const { tunnels } = parse(`${head}tunnels: [{ hostname: a.example, ${fields} }]`)
    return tunnels[0]?.target
  }
  const tls = { verify: true }
  const cases: [fields: string, target: object][] = [
    ['target: https://nas', { host: 'nas', port: 443, tls }],
    ['target: https://nas:8443/', { host: 'nas', port: 8443, tls }],
    ['target: h2c://:50051', { host: 'localhost', port: 50_051, protocol: 'h2c' }],
    ['target: h2c://nas', { host: 'nas', port: 80, protocol: 'h2c' }],
    ['target: https://nas, target_http2: true', { tls, protocol: 'h2' }],
    ['target: https://nas, target_verify: false', { tls: { verify: false } }],
    ['target: https://nas, target_sni: a.test', { tls: { verify: true, serverName: 'a.test' } }],
    ['target: https://nas, target_ca_file: ca.pem', { tls: { caFile: /\/ca\.pem$/ } }],
    ['target: unix:/run/app.sock', { kind: 'unix', path: '/run/app.sock' }],
    ['target: "unix:///run/app.sock"', { kind: 'unix', path: '/run/app.sock' }],
    ['target: unix:/run/app.sock, mode: tcp', { kind: 'unix' }],
  ]
  for (const [fields, target] of cases) t.match(only(fields), target, fields)
  const refused: [fields: string, problem: string][] = [
    ['target: h2c://nas, mode: tcp', 'target: https:// and h2c:// are for mode http'],
    ['target: https://nas, mode: tls', 'target: https:// and h2c:// are for mode http'],
    ['target: nas:1, target_sni: a', 'target_sni: is for https:// targets only'],
    ['target: http://nas, target_verify: false', 'target_verify: is for https:// targets only'],
    ['target: nas:1, target_ca_file: a', 'target_ca_file: is for https:// targets only'],
    ['target: nas:1, target_http2: true', 'write h2c://host:port'],
    ['target: h2c://nas/path', 'a target has no path: h2c://host[:port]'],
    [`target: unix:/${'x'.repeat(107)}`, 'absolute path of up to 107 bytes'],
    ['target: nas:1, mode: tcp, response_timeout: 5', 'response_timeout: is for mode http'],
  ]
  for (const [fields, problem] of refused) {
    const found = problems(`${head}tunnels: [{ hostname: a.example, ${fields} }]`)
    t.equal(found.length, 1, fields)
    t.match(found[0], problem)
  }
  const { tunnels } = parse(`${head}tunnels: [{ hostname: a, target: 1, response_timeout: 5m }]`)
  t.equal(tunnels[0]?.responseTimeoutSec, 300)
})

t.test('rules of a tunnel', async (t) => {
  const hash = `scrypt:32768:8:3$0123456789$${'ab'.repeat(64)}`
  const only = (fields: string, env = {}) =>
    parse(`${head}tunnels: [{ hostname: a.example, target: nas:80, ${fields} }]`, env).tunnels[0]
  const given: [fields: string, rules: object][] = [
    ['path: /api/, strip_prefix: yes', { path: '/api', stripPrefix: true }],
    ['path: /', {}],
    ['host_header: target', { hostHeader: 'nas' }],
    ['host_header: TARGET', { hostHeader: 'nas' }],
    ["host_header: 'nas:81'", { hostHeader: 'nas:81' }],
    [`basic_auth: ['a:${hash}', 'b:${hash}']`, { basicAuth: [`a:${hash}`, `b:${hash}`] }],
    [`basic_auth: 'a:${hash}'`, { basicAuth: [`a:${hash}`] }],
    ['allow_ips: [10.0.0.0/8, 192.0.2.1]', { allowIps: ['10.0.0.0/8', '192.0.2.1'] }],
    ["allow_ips: '10.0.0.0/8, ::1'", { allowIps: ['10.0.0.0/8', '::1'] }],
    ['mode: tcp, deny_ips: [10.0.0.1]', { denyIps: ['10.0.0.1'] }],
    [
      `request_headers: { set: { X-A: "\${WORD}, b", X-B: '' }, remove: [X-C] }`,
      {
        requestHeaders: {
          set: new Map([
            ['X-A', 'w, b'],
            ['X-B', ''],
          ]),
          remove: ['X-C'],
        },
      },
    ],
    [
      'response_headers: { remove: Server }',
      { responseHeaders: { set: new Map(), remove: ['Server'] } },
    ],
  ]
  for (const [fields, rules] of given) {
    const { hostname, mode, target, ...rest } = only(fields, { WORD: 'w' }) ?? {}
    t.strictSame(rest, rules, fields)
  }
  const refused: [fields: string, problem: string][] = [
    ['path: api', 'path: "api": must be a path such as /api'],
    ['path: /a/../b', 'must be a path'],
    ['path: /%61', 'must be a path'],
    ['path: //a', 'must be a path'],
    ['mode: tcp, path: /a', 'path: is for mode http'],
    ['strip_prefix: true', 'strip_prefix: needs a path'],
    [`mode: tcp, basic_auth: ['a:${hash}']`, 'basic_auth: is for mode http'],
    ['mode: tls, host_header: a', 'host_header: is for mode http'],
    ['basic_auth: [a:password]', 'must be lines that gotunnel-agent hash-password has printed'],
    ['basic_auth: [a:scrypt:1$x$y]', 'basic_auth: a has no hash that'],
    [`basic_auth: ['a:${hash}', 'a:${hash}']`, 'no user twice'],
    ['basic_auth: []', 'basic_auth: is an empty list'],
    ['allow_ips: []', 'allow_ips: is an empty list'],
    ["allow_ips: ''", 'allow_ips: is empty: remove it, if everybody may come in'],
    ['deny_ips:', 'deny_ips: is empty: remove it'],
    [`basic_auth: "\${EMPTY}"`, 'basic_auth: is empty: remove it'],
    ['allow_ips: [10.0.0.0/33]', 'allow_ips: "10.0.0.0/33": must be IP addresses'],
    ['allow_ips: [10.0.0.1, office]', 'number 2 of the list is not'],
    ['request_headers: X-A', 'request_headers: must be a map'],
    ['request_headers: { X-A: b }', 'request_headers.X-A: is no key here'],
    ['request_headers: { set: { Host: b } }', 'request_headers.set.Host: has an option of its own'],
    ['request_headers: { set: { "a b": c } }', 'set.a b: is no name of a header'],
    ['request_headers: { remove: [Content-Length] }', 'remove: "Content-Length": must be names'],
    ['response_headers: { set: { X-A: "a\\r\\nb: c" } }', 'must be up to 2048 printable'],
    ['response_headers: { set: { X-A: [b, c] } }', 'set.X-A: must be a single value'],
  ]
  for (const [fields, problem] of refused) {
    const text = `${head}tunnels: [{ hostname: a.example, target: nas, ${fields} }]`
    const found = problems(text.replace('target: nas', 'target: nas:1'), { EMPTY: '' })
    t.equal(found.length, 1, `${fields}: ${found}`)
    t.match(found[0], problem)
    t.notMatch(found[0], 'password:', 'of a password nothing is shown')
  }
  const tunnel = (fields: string) => `  - { hostname: a.example, target: 1, ${fields} }\n`
  const shared = `${head}tunnels:\n${tunnel('path: /a')}${tunnel('path: /a/b')}${tunnel('')}`
  t.same(problems(shared), [])
  t.match(problems(`${shared}${tunnel('path: /A')}`), [/path: a.example\/a is in line 4 already/])
  const mixed = `${head}tunnels:\n${tunnel('mode: tcp')}${tunnel('path: /a')}`
  t.match(problems(mixed), [/mode: a.example has mode tcp in another tunnel/])
})

t.test(`\${VAR} is taken from the environment`, async (t) => {
  const env = { HOST: 'tunnel.example.com', SECRET: secret, PORT: '3000', EMPTY: '' }
  const config = parse(
    `tunnel_addr: \${HOST}:9443\njwt_secret: "\${SECRET}"\njwt_issuer: \${EMPTY}\ntunnels:\n- hostname: app.\${HOST}\n  target: :\${PORT}\n`,
    env,
  )
  t.match(config, {
    gateways: [{ host: 'tunnel.example.com', port: 9443 }],
    tunnels: [{ hostname: 'app.tunnel.example.com', target: { port: 3000 } }],
    credentials: { issuer: 'gotunnel' },
  })
  t.strictSame(interpolate(`a $ b $HOST $\${HOST} \${HOST}`, env), {
    text: `a $ b $HOST \${HOST} tunnel.example.com`,
  })
  t.strictSame(interpolate(`\${HOST`, env).refused?.slice(0, 29), 'wants the name of a variable ')
  t.match(interpolate(`\${HOST:-x}`, env).refused, 'wants the name of a variable')
  t.strictSame(
    problems(`${head}tunnels:\n- hostname: \${NAME}\n  target: \${HOST}:\${PORT}0000\n`, env),
    [
      'config.yaml:4:13: tunnels[0].hostname: the environment has no variable NAME',
      `config.yaml:5:11: tunnels[0].target: "\${HOST}:\${PORT}0000": must be host:port, :port, port, http://, https:// or h2c://host[:port], or unix:/path`,
    ],
    'the text is shown, not what it stands for',
  )
  t.match(problems(`tunnel_addr: h:1\njwt_secret: \${EMPTY}\n${tunnels}`, env), [
    /^config.yaml:2:13: jwt_secret: is required/,
  ])
  t.strictSame(problems(`tunnel_addr: h:1\njwt_secret: \${NONE}\n${tunnels}`, env), [
    'config.yaml:2:13: jwt_secret: the environment has no variable NONE',
  ])
})

t.test('every problem has its line and column, and all are told at once', async (t) => {
  const text = `tunel_addr: tunnel.example.com
jwt_secret: hunter2
jwt_expire_sec: 1h
tunnels:
  - hostname: app.example.com
    target: https://localhost:3000/path
    mode: tsl
  - hostname: APP.example.com.
    target: unix:app.sock
    host_header: a b
    modus: tcp
  - target: localhost
    mode: htp
  - plain
`
  t.strictSame(problems(text), [
    'config.yaml:1:1: tunel_addr: is no key here; did you mean "tunnel_addr"?',
    'config.yaml:1:1: tunnel_addr: is required: host:port, such as tunnel.example.com:9443, or a list of them',
    'config.yaml:3:17: jwt_expire_sec: "1h": must be a whole number of seconds, 60 to 31536000',
    'config.yaml:2:13: jwt_secret: the secret is short',
    'config.yaml:14:5: tunnels[3]: must be a map of `key: value` lines',
    'config.yaml:6:13: tunnels[0].target: "https://localhost:3000/path": a target has no path: https://host[:port]',
    'config.yaml:7:11: tunnels[0].mode: "tsl": must be http, tcp or tls; did you mean "tls"?',
    'config.yaml:11:5: tunnels[1].modus: is no key here',
    'config.yaml:9:13: tunnels[1].target: "unix:app.sock": must be unix: and an absolute path of up to 107 bytes',
    'config.yaml:10:18: tunnels[1].host_header: "a b": must be target, or a host with or without a port, such as app.internal:8080',
    'config.yaml:8:15: tunnels[1].hostname: app.example.com is in line 5 already',
    'config.yaml:12:5: tunnels[2].hostname: is required: a host name, such as app.example.com; or give a listen_port',
    'config.yaml:12:13: tunnels[2].target: "localhost": must be host:port, :port, port, http://, https:// or h2c://host[:port], or unix:/path',
    'config.yaml:13:11: tunnels[2].mode: "htp": must be http, tcp or tls; did you mean "http"?',
  ])
})

t.test('one problem each', async (t) => {
  const cases: [text: string, problem: string | RegExp][] = [
    [`${head}`, 'config.yaml:1:1: tunnels: is required: a list'],
    [`${head}tunnels:\n`, 'tunnels: is required: a list'],
    [`${head}tunnels: []\n`, 'tunnels: is required: a list'],
    [`${head}tunnels: app.example.com\n`, 'config.yaml:3:1: tunnels: must be a list'],
    [`${head}tunnels: {a: b}\n`, 'config.yaml:3:1: tunnels: must be a list'],
    [`${head}${tunnels}token: a.b.c\n`, 'token: is here beside jwt_secret'],
    [`tunnel_addr: a:1\n${tunnels}`, 'config.yaml:1:1: jwt_secret: is required'],
    [`tunnel_addr: a:1\njwt_secret:\n${tunnels}`, 'jwt_secret: is required'],
    [`tunnel_addr: a:1\ntoken: secret\n${tunnels}`, 'config.yaml:2:8: token: is no token'],
    [`tunnel_addr: :9443\ntoken: a.b.c\n${tunnels}`, '":9443": must be host:port'],
    [`tunnel_addr: [a:1, b:x]\ntoken: a.b.c\n${tunnels}`, 'number 2 of the list is not'],
    [`${head}skip_tls_verify: maybe\n${tunnels}`, '"maybe": must be true or false'],
    [`${head}tunnel_hostnames: [a]\n${tunnels}`, 'tunnel_hostnames: is gone'],
    [`${head}agent_id: a b\n${tunnels}`, 'agent_id: "a b": must be up to 64 letters'],
    [
      `${head}jwt_secrets: ${secret}\n${tunnels}`,
      'jwt_secrets: is no key here; did you mean "jwt_secret"?',
    ],
    [`${head}__proto__: 1\n${tunnels}`, '__proto__: is no key here'],
    [`${head}? [a, b]\n: c\n${tunnels}`, ': ?: is no key here'],
    [`${head}tunnels: [{hostname: a, target: h:0}]`, '"h:0": must be host:port'],
    [`${head}tunnels: [{hostname: a, target: 'http://h/path'}]`, 'a target has no path'],
    [`${head}tunnels: [{hostname: a, target: 'http://h?q'}]`, 'a target has no path'],
    [`${head}tunnels: [{hostname: a, target: 'ftp://h'}]`, '"ftp://h": must be host:port'],
    [`${head}tunnels: [{hostname: 1.2.3.4, target: 1}]`, '"1.2.3.4": must be a host name'],
    [`${head}tunnels: [{hostname: *.example.com, target: 1}]`, 'begins with * must be in quotes'],
    [
      `${head}tunnels: [{hostname: '*.example.com', target: 1}]`,
      '"*.example.com": must be a host name',
    ],
    [
      `${head}tunnels:\n${'- {hostname: a, target: 1}\n'.repeat(1001)}`,
      'has 1001 tunnels; 1000 are',
    ],
    ['', 'config.yaml: is empty'],
    ['# nothing\n', 'config.yaml: is empty'],
    ['- a\n', 'config.yaml: must be a map'],
    [`${head}${head}`, /^config.yaml:3:1: this key is here twice/],
    ['a: b\n---\nc: d\n', /^config.yaml:\d:1: only one document/],
  ]
  for (const [text, problem] of cases) t.match(problems(text)[0], problem, text.slice(0, 80))
})

t.test('what tcp and tls tunnels may ask for', async (t) => {
  const target = { kind: 'tcp', host: 'localhost', port: 22, text: '22' }
  const only = (tunnel: string, env?: Record<string, string>) =>
    parse(`${head}tunnels:\n  - {target: 22, ${tunnel}}`, env).tunnels[0]
  t.strictSame(only('listen_port: 2222, mode: tcp'), { target, mode: 'tcp', listenPort: 2222 })
  t.strictSame(only(`listen_port: "\${PORT}", mode: tcp`, { PORT: '0' }), {
    target,
    mode: 'tcp',
    listenPort: 0,
  })
  t.strictSame(
    only(
      'hostname: a.test, mode: TCP, ssh: yes, proxy_protocol: V1, alpn: [postgresql, h2], idle_timeout: 10m',
    ),
    {
      hostname: 'a.test',
      target,
      mode: 'tcp',
      ssh: true,
      proxyProtocol: 'v1',
      alpn: ['postgresql', 'h2'],
      idleTimeoutSec: 600,
    },
  )
  const tls = { hostname: 'a.test', target, mode: 'tls' }
  t.strictSame(only('hostname: a.test, mode: tls, proxy_protocol: v2, idle_timeout: 24d'), {
    ...tls,
    proxyProtocol: 'v2',
    idleTimeoutSec: 2_073_600,
  })
  const nothing = 'ssh: no, proxy_protocol: none, alpn: , idle_timeout: 0, listen_port: ""'
  t.strictSame(only(`hostname: a.test, mode: tls, ${nothing}`), tls, 'what says nothing')
  t.strictSame(only('hostname: a.test, mode: tcp, alpn: "h2 , http/1.1"')?.alpn, ['h2', 'http/1.1'])
  for (const [text, seconds] of [
    ['90', 90],
    ['90s', 90],
    ['2h', 7200],
  ] as const) {
    t.equal(only(`hostname: a.test, mode: tcp, idle_timeout: ${text}`)?.idleTimeoutSec, seconds)
  }
  const many = parse(`${head}tunnels:
  - {hostname: a.test, target: 1, mode: tcp, listen_port: 0}
  - {hostname: b.test, target: 1, mode: tcp, listen_port: 0}
  - {target: 1, mode: tcp, listen_port: 0}`)
  t.equal(many.tunnels.length, 3, 'port 0 is no port that two could want')
})

t.test('what a tunnel may not ask for is said at its place', async (t) => {
  const cases: [tunnel: string, problem: string][] = [
    [
      'listen_port: 65536, mode: tcp',
      'config.yaml:3:37: tunnels[0].listen_port: "65536": must be a port, 0',
    ],
    [
      'listen_port: 22',
      'config.yaml:3:37: tunnels[0].listen_port: is for mode tcp; this tunnel has mode http',
    ],
    ['listen_port: [1], mode: tcp', 'tunnels[0].listen_port: must be a single value'],
    ['hostname: "", listen_port: , mode: tcp', 'hostname: is required: a host name, such as'],
    ['hostname: a, mode: tls, listen_port: 0', 'listen_port: is for mode tcp; this tunnel has'],
    [
      'hostname: a, ssh: true',
      'config.yaml:3:42: tunnels[0].ssh: is for mode tcp; this tunnel has mode http',
    ],
    ['hostname: a, ssh: 1, mode: tcp', 'ssh: "1": must be true or false'],
    ['hostname: a, alpn: [h2]', 'alpn: is for mode tcp; this tunnel has mode http'],
    ['hostname: a, alpn: [h2], mode: tls', 'alpn: is for mode tcp; this tunnel has mode tls'],
    ['hostname: a, mode: tcp, alpn: [h2, ""]', 'number 2 of the list is not'],
    ['hostname: a, mode: tcp, alpn: "h 2"', 'alpn: "h 2": must be names of protocols, such as'],
    ['hostname: a, mode: tcp, alpn: []', 'alpn: is an empty list'],
    ['hostname: a, mode: tcp, alpn: [[h2]]', 'alpn: must be a single value'],
    [`hostname: a, mode: tcp, alpn: [${Array(17).fill('h2')}]`, 'alpn: "h2,'],
    ['hostname: a, proxy_protocol: v2', 'is for mode tcp and tls; this tunnel has mode http'],
    ['hostname: a, mode: tcp, proxy_protocol: v3', '"v3": must be none, v1 or v2'],
    ['hostname: a, idle_timeout: 5m', 'is for mode tcp and tls; this tunnel has mode http'],
    ['hostname: a, mode: tcp, idle_timeout: 25d', 'idle_timeout: "25d": must be seconds, or'],
    ['hostname: a, mode: tcp, idle_timeout: 1w', 'idle_timeout: "1w": must be seconds, or'],
    ['hostname: a, mode: tcp, idle_timeout: -1', 'idle_timeout: "-1": must be seconds, or'],
    [`hostname: "\${EMPTY}", mode: tcp`, 'tunnels[0].hostname: is required'],
  ]
  for (const [tunnel, problem] of cases) {
    const found = problems(`${head}tunnels: [{target: 22, ${tunnel}}]`, { EMPTY: '' })
    t.match(found[0], problem, tunnel)
    t.equal(found.length, 1, tunnel)
  }
})

t.test('one name, one port and the plain SSH are for one tunnel each', async (t) => {
  const text = `${head}tunnels:
  - {hostname: a.test, target: 1, mode: tcp, ssh: true, listen_port: 2222}
  - {hostname: b.test, target: 1, mode: tcp, ssh: true, listen_port: 2222}
  - {target: 1, mode: tcp, listen_port: 0}
  - {target: 1, mode: tcp, listen_port: 0}
`
  t.strictSame(problems(text), [
    'config.yaml:5:70: tunnels[1].listen_port: port 2222 is in line 4 already',
    'config.yaml:5:51: tunnels[1].ssh: plain SSH is in line 4 already',
    'config.yaml:7:41: tunnels[3].listen_port: a 0 without a hostname is in line 6 already',
  ])
})

t.test('YAML that cannot be read is told of by its place, without its text', async (t) => {
  const cases: [text: string, problem: RegExp][] = [
    [`jwt_secret: "${secret}\n`, /^config.yaml:2:1: something is missing here/],
    [`jwt_secret: "${secret}\\q"\n`, /^config.yaml:1:\d+: an unknown escape in double quotes/],
    [`jwt_secret: *${secret}\n`, /jwt_secret: a value that begins with \*/],
    [`jwt_secret: @${secret}\n`, /^config.yaml:1:13: a value that begins with a special character/],
    [`jwt_secret: !${secret} x\ntunnel_addr: [\n`, /^config.yaml:/],
    [`a:\n\tjwt_secret: ${secret}\n`, /^config.yaml:2:1: indent with spaces/],
    [`jwt_secret: ${secret}: ${secret}\n`, /^config.yaml:1:/],
    [`jwt_secret ${secret}\ntunnel_addr: x\n`, /^config.yaml:1:/],
    [`  jwt_secret: ${secret}\n x: y\n`, /^config.yaml:/],
  ]
  for (const [text, problem] of cases) {
    const found = problems(text)
    t.ok(
      found.some((line) => problem.test(line)),
      `${problem}: ${found.join(' | ')}`,
    )
    t.notMatch(found.join('\n'), secret, 'no secret')
  }
  t.ok(problems('['.repeat(5_000)).length < 5, 'once, and not for each bracket that is open')
})

t.test('anchors work, and a bomb of them does not go off', async (t) => {
  const { tunnels: some } = parse(`${head}
tunnels:
  - &first { hostname: a.example, target: &t localhost:1 }
  - { hostname: b.example, target: *t }
`)
  t.match(some[1]?.target, { port: 1 })
  const names = [...'abcdefghij']
  const doubled = names.map((name, i) => `${name}: &${name} [*${names[i - 1]}, *${names[i - 1]}]\n`)
  const bomb = `a: &a [x, x]\n${doubled.slice(1).join('')}`
  t.ok(problems(`${bomb}${head}${tunnels}`).length >= 10)
})

function parse(text: string, env: Record<string, string> = {}, file = 'config.yaml'): AgentConfig {
  return parseAgentConfig(text, {
    file,
    env,
    checkSecret: (value) => (value.length < 32 ? 'the secret is short' : undefined),
    isPasswordHash,
  })
}

function problems(text: string, env?: Record<string, string>): string[] {
  try {
    parse(text, env)
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map(formatProblem)
    throw error
  }
  return []
}
