import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { CommandSocket } from '../../src/certs/command-socket.ts'
import { startAgent, startGateway, temporaryDirectory } from '../support/programs.ts'
import { certs } from './certs-command.ts'

t.test('gotunnel-server certs', async (t) => {
  const directory = temporaryDirectory(t)
  const env = { ACME_ENV: 'development', ACME_CACHE: 'certificates' }
  const command = (...args: string[]) => certs(directory, env, args)

  await t.test('says so where no gateway runs', async (t) => {
    const list = await command()
    t.match(list, { code: 0, stderr: /^no gateway runs with ACME_CACHE=certificates: / })
    t.match(list.stdout, /^no certificates yet/)
    t.match(await command('issue', 'app.example.com'), { code: 1, stderr: /\(CLI_NO_GATEWAY\)\n$/ })
    t.match(await command('renew'), { code: 2, stderr: /certs renew needs NAME/ })
    const off = await certs(directory, { ACME_ENV: 'off', TLS_CERT_DIR: '.' }, ['issue', 'a.test'])
    t.match(off, { code: 1, stderr: /ACME_ENV=off/ })
  })

  const gateway = await startGateway(t, { directory, env })
  await startAgent(t, gateway, [{ hostname: 'app.example.com', target: 1 }])

  t.test('has the gateway issue and renew for names that are held', async (t) => {
    const refused = {
      code: 1,
      stdout: '',
      stderr: /nobody holds other\.example\.com.*CERT_REFUSED/,
    }
    t.match(await command('issue', 'other.example.com'), refused)
    t.match(await command('issue', '../ca'), { code: 1, stderr: /no host name/ })
    t.match((await command()).stdout, /^app\.example\.com +none +development +-$/m)
    const issued = await command('issue', 'app.example.com')
    t.match(issued, {
      code: 0,
      stdout: /^app\.example\.com: valid until 2\S+ \S+ UTC, in 90 days\n$/,
    })
    t.match((await command('issue', 'app.example.com')).stdout, /it was there already/)
    t.match(await command('renew', 'APP.example.com.'), { code: 0, stdout: /valid until/ })
    await gateway.program.waitFor('certificate renewed', { hostname: 'app.example.com' })
    const { stdout, stderr } = await command()
    t.match(stdout, /^NAME +STATE +FROM +VALID UNTIL\napp\.example\.com +valid +development +2/)
    t.equal(stderr, '')
  })

  t.test('reaches the first of two gateways with one directory; the second says so', async (t) => {
    const second = await startGateway(t, { directory, env })
    const warning = 'gotunnel-server certs cannot reach this gateway'
    const [line] = second.program.logged(warning)
    t.match(line, { level: 'warn', error: /another gateway runs with certificates/ })
    await second.program.kill('SIGTERM')
    t.match(await command('renew', 'app.example.com'), { code: 0 })
  })

  t.test('says what a gateway that was killed has left, and the next one is found', async (t) => {
    await gateway.program.kill('SIGKILL')
    const left = await command()
    t.match(left, { stderr: /^no gateway runs/, stdout: /^app\.example\.com +valid +development/m })
    const next = await startGateway(t, { directory, env })
    t.match(await command('renew', 'localhost'), { code: 0 })
    await next.program.kill('SIGTERM')
    rmSync(join(directory, 'certificates'), { recursive: true })
    t.equal((await command()).code, 0)
  })
})

t.test('a socket that cannot be made is an error that says why', async (t) => {
  const target = { list: t.fail, hasAtHand: t.fail, order: t.fail } as never
  const failing = { code: 'CERT_SOCKET_FAILED' }
  const long = join(t.testdir(), 'x'.repeat(100))
  await t.rejects(CommandSocket.open(long, target), {
    ...failing,
    message: /too long for a socket/,
  })
  const file = join(temporaryDirectory(t), 'file')
  writeFileSync(file, '')
  await t.rejects(CommandSocket.open(file, target), { ...failing, message: /EEXIST|ENOTDIR/ })
})
