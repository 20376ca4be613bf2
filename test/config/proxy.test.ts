import { inspect } from 'node:util'
import t from 'tap'
import { formatProblem, Problems } from '../../src/config/errors.ts'
import type { Refusal } from '../../src/config/field.ts'
import { proxyChooser, proxyField } from '../../src/config/proxy.ts'
import type { ProxyServer } from '../../src/net/proxy-server.ts'

const parse = (text: string) => proxyField.kind.parse(text) as ProxyServer | Refusal | undefined
const gateway = { host: 'tunnel.example.com', port: 9443 }

function chosenBy(env: Record<string, string>, to = gateway): string {
  const problems = new Problems()
  const { proxy } = proxyChooser(undefined, env, problems)(to)
  if (problems.found.length > 0) return problems.found.map(formatProblem).join('\n')
  return proxy ? `${proxy.kind} ${proxy.host}:${proxy.port}` : 'none'
}

t.test('a proxy is an address with a scheme, or without', async (t) => {
  for (const [text, kind, host, port] of [
    ['http://proxy.corp:3128', 'http', 'proxy.corp', 3128],
    ['http://proxy.corp:3128/', 'http', 'proxy.corp', 3128],
    ['http://proxy.corp', 'http', 'proxy.corp', 80],
    ['proxy.corp:3128', 'http', 'proxy.corp', 3128],
    [' HTTP://10.0.0.1:3128 ', 'http', '10.0.0.1', 3128],
    ['socks5://proxy.corp', 'socks5', 'proxy.corp', 1080],
    ['socks5h://[::1]:1081', 'socks5', '::1', 1081],
  ] as const) {
    t.strictSame(parse(text), { kind, host, port }, text)
  }
  t.equal(proxyField.kind.parse(' none '), 'none')
  for (const text of [
    '',
    'http://',
    'http://:80',
    'http://a:b',
    'http://a/x',
    'http://a b',
    'a?x',
  ]) {
    t.equal(parse(text), undefined, text)
  }
  for (const text of ['https://a:1', 'socks4://a:1', 'ftp://a']) {
    t.match(parse(text), { reason: /^must be http:.*is not supported$/ }, text)
  }
})

t.test('credentials are percent-encoded in it, and print nowhere', async (t) => {
  const proxy = parse('http://Al%40ddin:open%3Ase:s@me%25@proxy.corp:3128') as ProxyServer
  t.equal(proxy.credentials?.username, 'Al@ddin')
  t.equal(proxy.credentials?.password.reveal(), 'open:se:s@me%')
  t.notMatch(inspect(proxy, { depth: 9 }) + JSON.stringify(proxy), 's@me')
  const alone = parse('socks5://nas@proxy.corp') as ProxyServer
  t.strictSame([alone.credentials?.username, alone.credentials?.password.reveal()], ['nas', ''])
  t.match(parse('http://a:100%@b:1'), { reason: /%25/ })
  t.ok(proxyField.kind.isSecret, 'no problem shows it')
  t.notMatch(chosenBy({ HTTPS_PROXY: 'http://a:geheim@b c' }), 'geheim')
})

t.test('the environment names one, as other programs have it', async (t) => {
  t.equal(chosenBy({}), 'none')
  t.equal(chosenBy({ HTTPS_PROXY: 'http://a:1', ALL_PROXY: 'http://b:1' }), 'http a:1')
  t.equal(chosenBy({ https_proxy: 'http://a:1' }), 'http a:1')
  t.equal(chosenBy({ HTTPS_PROXY: '', https_proxy: 'a:1' }), 'http a:1')
  t.equal(chosenBy({ all_proxy: 'socks5://b' }), 'socks5 b:1080')
  t.equal(chosenBy({ HTTP_PROXY: 'http://a:1' }), 'none', 'not the one for plain http')
  t.equal(chosenBy({ HTTPS_PROXY: 'none', ALL_PROXY: 'b:1' }), 'none')
  t.match(chosenBy({ HTTPS_PROXY: 'https://a:1' }), /^HTTPS_PROXY: must be http:/)
})

t.test('NO_PROXY exempts', async (t) => {
  const exempts = (list: string, host: string, port = 9443) =>
    chosenBy({ HTTPS_PROXY: 'a:1', NO_PROXY: list }, { host, port }) === 'none'
  for (const [list, host] of [
    ['*', 'tunnel.example.com'],
    ['tunnel.example.com', 'tunnel.example.com'],
    ['x.test, Example.COM ,', 'tunnel.example.com'],
    ['.example.com', 'tunnel.example.com.'],
    ['*.example.com', 'tunnel.example.com'],
    ['example.com:9443', 'tunnel.example.com'],
    ['localhost', 'localhost'],
    ['10.0.0.0/8', '10.1.2.3'],
    ['192.0.2.1', '192.0.2.1'],
    ['::1', '::1'],
    ['[::1]:9443', '::1'],
    ['2001:db8::/32', '2001:db8::7'],
  ] as const) {
    t.ok(exempts(list, host), `${list} ${host}`)
  }
  for (const [list, host] of [
    ['', 'tunnel.example.com'],
    ['ample.com', 'tunnel.example.com'],
    ['tunnel.example', 'tunnel.example.com'],
    ['example.com:443', 'tunnel.example.com'],
    ['com.', 'tunnel.example.org'],
    ['10.0.0.0/8', '11.1.2.3'],
    ['1.2.3', '10.1.2.3'],
    ['2.3', '10.1.2.3'],
    ['.', 'tunnel.example.com'],
    [':9443', 'tunnel.example.com'],
  ] as const) {
    t.notOk(exempts(list, host), `${list} ${host}`)
  }
})

t.test('what the configuration names counts before, and for all', async (t) => {
  const env = { HTTPS_PROXY: 'broken://', NO_PROXY: '*' }
  const problems = new Problems()
  const proxy: ProxyServer = { kind: 'http', host: 'a', port: 1 }
  t.strictSame(proxyChooser(proxy, env, problems)(gateway), { proxy })
  t.strictSame(proxyChooser('none', env, problems)(gateway), {})
  t.same(problems.found, [], 'the environment is not even read')
})
