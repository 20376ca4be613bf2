import { isIP } from 'node:net'
import { promisify } from 'node:util'
import t from 'tap'
import { lookup } from '../../src/net/lookup.ts'

const look = promisify(lookup)

t.test('names below .localhost are this machine, and no resolver is asked', async (t) => {
  for (const name of ['no-such-name.localhost', 'SSH.LocalHost', 'a.b.localhost.']) {
    t.match(await look(name, {}), /^(127\.0\.0\.1|::1)$/, name)
    const all = (await look(name, { all: true })) as unknown as { address: string }[]
    for (const { address } of all) t.match(address, /^(127\.0\.0\.1|::1)$/, name)
  }
})

t.test('other names are as the resolver has them', async (t) => {
  t.ok(isIP(String(await look('localhost', {}))))
  for (const name of ['no-such-name.invalid', 'localhost.invalid', 'nolocalhost.invalid']) {
    await t.rejects(look(name, { all: true }), /getaddrinfo/)
  }
})
