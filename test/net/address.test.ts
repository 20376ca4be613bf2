import fc from 'fast-check'
import t from 'tap'
import { formatHostPort, parseHostPort } from '../../src/net/address.ts'

const defaults = { defaultHost: 'localhost', defaultPort: 9443 }

t.test('reads a host and a port', async (t) => {
  const cases: [text: string, host: string, port: number][] = [
    ['h:80', 'h', 80],
    ['tunnel.example.com:9443', 'tunnel.example.com', 9443],
    ['Tunnel.Example.com.:1', 'Tunnel.Example.com.', 1],
    ['my_service:65535', 'my_service', 65_535],
    ['127.0.0.1:22', '127.0.0.1', 22],
    ['[::1]:80', '::1', 80],
    ['[2001:db8::1]:443', '2001:db8::1', 443],
    ['[fe80::1%eth0]:443', 'fe80::1%eth0', 443],
  ]
  for (const [text, host, port] of cases) t.same(parseHostPort(text), { host, port }, text)
})

t.test('fills in what is missing from the defaults, and only from them', async (t) => {
  const cases: [text: string, host: string, port: number][] = [
    ['h', 'h', 9443],
    ['127.0.0.1', '127.0.0.1', 9443],
    ['[::1]', '::1', 9443],
    [':80', 'localhost', 80],
    ['80', 'localhost', 80],
  ]
  for (const [text, host, port] of cases) {
    t.same(parseHostPort(text, defaults), { host, port }, text)
    t.equal(parseHostPort(text), undefined, `${text}, without defaults`)
  }
})

t.test('refuses everything else', async (t) => {
  const cases = [
    ...['h:', ':', 'h:0', 'h:65536', 'h:080', 'h:-1', 'h:+80', 'h:8o', 'h:80:80', '0', '65536'],
    ...['::1', '::1:80', '2001:db8::1', '[::1', '::1]:80', '[]:80', '[h]:80', '[127.0.0.1]:80'],
    ...['[::1]80', '[[::1]]:80', '[::g]:80', '1.2.3.400:80', '127.1:80', '127.0.0.1.:80'],
    ...[' h:80', 'h:80 ', 'h :80', 'h:80\n', 'h\0:80', 'a b:80', 'http://h:80', 'h:80/', 'u@h:80'],
    ...['-h:80', 'h-:80', 'h..i:80', '.h:80', '.:80', 'bücher:80', `${'a'.repeat(64)}:80`],
    ...[`${'a.'.repeat(127)}a:80`, 'a'.repeat(100_000), '1'.repeat(100_000)],
  ]
  for (const text of cases) t.equal(parseHostPort(text, defaults), undefined, text.slice(0, 40))
  t.equal(parseHostPort('', { defaultPort: 80 }), undefined)
})

t.test('what is formatted reads back the same', async (t) => {
  const host = fc.oneof(fc.domain(), fc.ipV4(), fc.ipV6())
  fc.assert(
    fc.property(host, fc.integer({ min: 1, max: 65_535 }), (host, port) => {
      const read = parseHostPort(formatHostPort({ host, port }))
      t.same(read, { host, port })
    }),
  )
})
