import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { pathToFileURL } from 'node:url'
import { buildSync } from 'esbuild'
import t, { type Test } from 'tap'
import { agentUsage } from '../../src/cli/agent-usage.ts'
import { parseCommandLine } from '../../src/cli/arguments.ts'
import { exitCodeOf } from '../../src/cli/exit-codes.ts'
import { describeError } from '../../src/cli/print-error.ts'
import { serverUsage } from '../../src/cli/server-usage.ts'
import { endOfLifeNotice, hasPatchedHttp2 } from '../../src/cli/version.ts'
import { agentSections } from '../../src/config/agent.ts'
import { serverSections } from '../../src/config/server.ts'
import { CodedError } from '../../src/errors.ts'

// The built programs: `npm test` builds them first.
const cli = resolve(import.meta.dirname, '../../dist/cli')
const secret = 'f3c1a9d2b7e84f60a1c5d8e2934b7f6a'
const { version } = JSON.parse(readFileSync(resolve(cli, '../../package.json'), 'utf8'))
const names = { GATEWAY_HOST: 'gateway.example.com', TUNNEL_HOST: 'tunnel.example.com' }
const config = `tunnel_addr: 127.0.0.1:1
jwt_secret: ${secret}
tunnels:
  - hostname: app.example.com
    target: localhost:3000
`

t.test('--version prints the version, and loads little for it', async (t) => {
  for (const name of ['server', 'agent']) {
    const directory = t.testdir()
    const env = { NODE_V8_COVERAGE: directory } // a list of what was loaded, among other things
    const { code, stdout, stderr } = await run(t, name, ['--version'], { env })
    t.strictSame([code, stdout, stderr], [0, `gotunnel-${name} ${version}\n`, ''])
    const [report = ''] = readdirSync(directory)
    const { result } = JSON.parse(readFileSync(`${directory}/${report}`, 'utf8'))
    const files = result.map(({ url }: { url: string }) => url).filter(isOurs)
    const bytes = files.reduce((sum: number, url: string) => sum + statSync(new URL(url)).size, 0)
    t.ok(bytes > 1_000 && bytes < 50_000, `${bytes} bytes in ${files.length} files`)
  }

  function isOurs(url: string): boolean {
    return url.startsWith(pathToFileURL(cli).href)
  }
})

t.test('--help is complete, whatever else is typed', async (t) => {
  for (const [name, sections] of [
    ['server', serverSections],
    ['agent', agentSections],
  ] as const) {
    const { code, stdout, stderr } = await run(t, name, ['--bogus', '-h', 'nonsense'])
    t.strictSame([code, stderr], [0, ''])
    for (const word of [
      'Usage',
      'Options',
      'Exit codes',
      'Examples',
      '--check',
      '77',
      'LOG_LEVEL',
    ]) {
      t.match(stdout, word)
    }
    for (const field of sections.flatMap(({ fields }) => Object.values(fields))) {
      t.match(stdout, new RegExp(`^  ${field.key}\\s`, 'm'))
      if (field.default) t.match(stdout.replace(/\s+/g, ' '), `default ${field.default}`)
    }
    t.ok(stdout.split('\n').every((line) => line.length <= 100 || line.startsWith('  ACME_ENV=')))
    t.notMatch(stdout, '\u001b')
  }
})

t.test('secret prints a new one each time, and the gateway takes it', async (t) => {
  const [first, second] = await Promise.all([
    run(t, 'server', ['secret']),
    run(t, 'server', ['secret']),
  ])
  t.match(first, { code: 0, stderr: '', stdout: /^\S{32,}\n$/ })
  t.not(first.stdout, second.stdout)
  const env = { ...names, ACME_ENV: 'development', JWT_SECRET: first.stdout.trim() }
  t.match(await run(t, 'server', ['--check'], { env }), { code: 0 })
})

t.test('a token is minted, and explained with the secret and without', async (t) => {
  const cwd = t.testdir({
    revoked: '# gone\nalice  # left in May\n',
    '.env': `JWT_SECRET=${secret}`,
  })
  const hosts = ['--hosts', 'App.example.com,*.alice.example.com']
  const minted = await run(t, 'server', ['token', '--name', 'alice', ...hosts, '--expires', '3d'], {
    cwd,
  })
  t.match(minted, { code: 0, stdout: /^[\w-]+\.[\w-]+\.[\w-]+\n$/ })
  t.match(minted.stderr, /^id +[0-9a-f]{16}$/m, 'what it can be revoked by')
  const token = minted.stdout.trim()

  const known = await run(t, 'server', ['token', 'inspect', token], { cwd })
  t.match(known, { code: 0, stderr: '' })
  t.match(known.stdout, /^name +alice$/m)
  t.match(known.stdout, /^hosts +app\.example\.com, \*\.alice\.example\.com$/m)
  t.match(known.stdout, /^ports +none$/m)
  t.match(known.stdout, /^expires +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC, in 3 days$/m)
  t.match(known.stdout, /^signature +good$/m)
  t.notMatch(known.stdout, 'revoked')

  const inspect = (env: Record<string, string>, input?: string) =>
    run(t, 'server', ['token', 'inspect', ...(input ? [] : [token])], { env, input, cwd: cli })
  const other = 'aa06c1f4d3b24a5f97d1c2e8b5f60937'
  for (const [env, line] of [
    [{}, /^signature +not checked: there is no JWT_SECRET here$/m],
    [{ JWT_SECRET: other }, /^signature +bad: not made with JWT_SECRET$/m],
    [{ JWT_SECRET: `${other},${secret}` }, /^signature +good, made with number 2 of JWT_SECRET$/m],
    [{ REVOCATIONS_FILE: `${cwd}/revoked` }, /^revoked +yes, in .*revoked$/m],
  ] as const) {
    t.match(await inspect(env), { code: 0, stdout: line, stderr: '' })
  }
  t.match(await inspect({}, `${token}\n`), { code: 0, stdout: /^name +alice$/m }, 'from stdin')
  t.match(await inspect({}, 'nonsense'), { code: 1, stderr: 'AUTH_TOKEN_INVALID' })
})

t.test('a token needs a name, something to register, and a secret', async (t) => {
  const good = ['token', '--name', 'nas', '--ports', '2222']
  const cases: [args: string[], stderr: string | RegExp][] = [
    [['token'], 'error: --name is needed: whom the token is for (CLI_USAGE)'],
    [['token', '--name', 'nas'], 'error: --hosts or --ports is needed'],
    [['token', '--name', 'a b'], /^error: --name: "a b": must be up to 64 letters/],
    [['token', '--name', 'nas', '--hosts', '*'], /^error: --hosts: "\*": must be host names and/],
    [[...good, '--expires', '1y'], /^error: --expires: "1y": must be a time such as/],
    [good, 'error: JWT_SECRET is needed'],
  ]
  for (const [args, stderr] of cases) {
    t.match(await run(t, 'server', args), { code: 2, stdout: '', stderr })
  }
  const env = { JWT_SECRET: secret }
  t.match(await run(t, 'server', [...good, '--expires', 'never'], { env }), {
    code: 0,
    stderr: /^hosts +none\nports +2222\n/m,
  })
})

t.test('wrong usage is one line and a hint, and exit code 2', async (t) => {
  const cases: [name: string, args: string[], message: string][] = [
    ['server', ['--chek'], 'unknown option: --chek; did you mean --check?'],
    ['server', ['-x'], 'unknown option: -x'],
    ['server', ['secrets'], 'unknown command: secrets; did you mean secret?'],
    ['server', ['secret', 'x'], 'unexpected argument: x'],
    ['server', ['secret', '--check'], 'unknown option: --check'],
    ['server', ['token', 'inspekt'], 'unexpected argument: inspekt'],
    ['server', ['token', 'inspect', 'x', 'y'], 'unexpected argument: y'],
    ['server', ['token', '--host=x'], 'unknown option: --host; did you mean --hosts?'],
    ['server', ['--check=yes'], '--check takes no value'],
    ['server', ['--check', '--check'], '--check is given more than once'],
    ['server', ['--env-file'], '--env-file needs a value: --env-file FILE'],
    ['server', ['--env-file', '--check'], '--env-file needs a value: --env-file FILE'],
    ['server', ['--env-file='], '--env-file needs a value: --env-file FILE'],
    ['agent', ['http'], 'http needs TARGET'],
    ['agent', ['--no-check'], 'unknown option: --no-check'],
    ['agent', ['a\u001b[31m\nb'], 'unknown command: a [31m b'],
  ]
  for (const [name, args, message] of cases) {
    const usage = name === 'server' ? serverUsage : agentUsage
    const error = t.throws(() => parseCommandLine(usage, args), { code: 'CLI_USAGE' })
    const hint = `hint: gotunnel-${name} --help has all there is to type`
    t.equal(describeError(error, usage), `error: ${message} (CLI_USAGE)\n${hint}\n`)
  }
  const { code, stdout, stderr } = await run(t, 'agent', ['--chek'])
  t.strictSame([code, stdout], [2, ''])
  t.match(stderr, /^error: unknown option: --chek; did you mean --check\? \(CLI_USAGE\)\nhint: /)
})

t.test('everything that is wrong with the environment is told at once', async (t) => {
  const env = { GATEWAY_PORT: 'https', JWT_SECRET: 'hunter2', ACME_ENV: 'off' }
  const { code, stdout, stderr } = await run(t, 'server', [], { env })
  t.equal(code, 2)
  t.equal(stdout, '')
  const lines = stderr.split('\n')
  t.equal(lines[0], 'error: the configuration has 5 problems (CONFIG_INVALID)')
  t.strictSame(
    lines.slice(1, 6).map((line) => line.split(':')[0]),
    ['  GATEWAY_HOST', '  GATEWAY_PORT', '  TUNNEL_HOST', '  JWT_SECRET', '  ACME_ENV'],
  )
  t.match(lines[6], 'hint: gotunnel-server --help')
  t.notMatch(stderr, 'hunter2')
})

t.test('--check says what the configuration amounts to', async (t) => {
  const dir = t.testdir({ certs: {} })
  const env = {
    ...names,
    JWT_SECRET: secret,
    TLS_CERT_DIR: `${dir}/certs`,
  }
  const { code, stdout, stderr } = await run(t, 'server', ['--check'], { env })
  t.strictSame([code, stderr], [0, ''])
  t.match(stdout, /^configuration ok\n/)
  for (const word of [
    'gateway.example.com',
    '443',
    'tunnel.example.com:9443',
    '127.0.0.1:8080',
    'certs',
  ]) {
    t.match(stdout, word)
  }
  t.notMatch(stdout, secret)
  const missing = { ...env, TLS_CERT_DIR: `${dir}/none` }
  t.match(await run(t, 'server', ['--check'], { env: missing }), {
    code: 2,
    stderr: 'none": is no directory',
  })
})

t.test('.env is read where it is, and must be there when it is named', async (t) => {
  const file = `GATEWAY_HOST=a.example.com\nTUNNEL_HOST=b.example.com\nJWT_SECRET=${secret}\nACME_ENV=development\nTUNEL_PORT=1\n`
  const cwd = t.testdir({ '.env': file, other: file.replace('a.example', 'c.example') })
  const own = await run(t, 'server', ['--check'], { cwd, env: { TUNNEL_HOST: 'z.example.com' } })
  t.match(own, { code: 0, stdout: 'a.example.com' })
  t.match(own.stdout, 'z.example.com:9443', 'the environment wins')
  t.match(own.stdout, 'warning: TUNEL_PORT has no effect: did you mean TUNNEL_PORT?')
  t.match(await run(t, 'server', ['--check', '--env-file', 'other'], { cwd }), {
    code: 0,
    stdout: 'c.example.com',
  })
  t.match(await run(t, 'server', ['-e', 'other', '--check'], { cwd }), { code: 0 })
  // Without `--`, Node 20 looks for the file itself, and ends with 9 (nodejs/node#54232).
  t.match(await run(t, 'server', ['--env-file', 'none', '--check'], { cwd, node: ['--'] }), {
    code: 2,
    stderr: /^error: none does not exist \(CONFIG_FILE_MISSING\)\n$/,
  })
})

t.test('the agent says where its file is wrong', async (t) => {
  const cwd = t.testdir({
    // The example of docs/configuration.md.
    'config.yaml': `# gotunnel-agent
tunel_addr: tunnel.example.com
jwt_secret: ${secret}
tunnels:
  - hostname: app.example.com
    target: localhost:3000

  - hostname: ssh.example.com
    target: localhost
`,
    'good.yaml': config,
    'ca.yaml': `${config}ca_file: ca.pem\n`,
    'ca.pem': '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n',
  })
  const wrong = await run(t, 'agent', ['--check'], { cwd })
  t.match(wrong, { code: 2, stdout: '' })
  const [first, ...problems] = wrong.stderr.trimEnd().split('\n')
  t.equal(first, 'error: the configuration has 3 problems (CONFIG_INVALID)')
  const docs = readFileSync(resolve(cli, '../../docs/configuration.md'), 'utf8')
  for (const line of [first, ...problems.slice(0, 3)]) t.match(docs, `    ${line}\n`)

  t.match(await run(t, 'agent', ['-c', 'good.yaml', '--check'], { cwd }), {
    code: 0,
    stdout:
      /^configuration ok\n.*127\.0\.0\.1:1 .*\n.*the shared secret\n.*app\.example\.com → localhost:3000\n$/,
  })
  t.match(await run(t, 'agent', ['-c', 'ca.yaml', '--check'], { cwd }), {
    code: 2,
    stderr:
      /^error: ca_file: .*ca\.pem has a broken certificate, number 1 \(CONFIG_FILE_UNREADABLE\)\n$/,
  })
  t.match(await run(t, 'agent', [], { cwd: t.testdir() }), {
    code: 2,
    stderr: 'error: config.yaml does not exist; copy config.yaml.example',
  })
})

t.test('the first signal ends an agent cleanly', async (t) => {
  const cwd = t.testdir({ 'config.yaml': config })
  const child = start(t, resolve(cli, 'agent.js'), [], { cwd })
  const output = text(child.stdout)
  const errors = text(child.stderr)
  await seen(child, 'connecting')
  child.kill('SIGTERM')
  t.strictSame(await once(child, 'exit'), [0, null])
  const lines = (await output)
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  const told = lines.filter(({ message }) => message === endOfLifeNotice(process.version))
  t.equal(told.length, endOfLifeNotice(process.version) ? 1 : 0, 'an old Node is told of once')
  t.match(lines.at(-2), { message: 'closing; a second signal ends at once', signal: 'SIGTERM' })
  t.match(lines.at(-1), { message: 'closed' })
  t.equal(await errors, '')
})

t.test('a gateway tells where it listens, and ends cleanly', async (t) => {
  const ports = { GATEWAY_PORT: '0', HTTP_PORT: '0', TUNNEL_PORT: '0', DASHBOARD_PORT: '0' }
  const own = { JWT_SECRET: secret, ACME_ENV: 'development', ACME_CACHE: `${t.testdir()}/certs` }
  const env = { ...names, ...ports, ...own, BIND_ADDRESS: '127.0.0.1' }
  const child = start(t, resolve(cli, 'server.js'), [], { env })
  const output = text(child.stdout)
  await seen(child, '"ready"')
  child.kill('SIGTERM')
  t.strictSame(await once(child, 'exit'), [0, null])
  const lines = (await output)
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  const listening = lines.filter(({ message }) => message === 'listening')
  t.strictSame(
    listening.map(({ listener }) => listener),
    ['public', 'tunnel', 'http', 'dashboard'],
  )
  for (const { address } of listening) t.match(address, /^127\.0\.0\.1:[1-9]\d*$/)
  t.match(
    lines.find(({ message }) => message === 'ready'),
    {
      gateway: `https://gateway.example.com:${listening[0].address.split(':')[1]}`,
      agents: `tunnel.example.com:${listening[1].address.split(':')[1]}`,
    },
  )
  t.match(lines.at(-1), { message: 'closed' })
})

t.test('the second signal does not wait', async (t) => {
  const child = script(
    t,
    `commands: { '': async (_, life) => {
      life.useLogger(log); log.info('up'); setInterval(() => {}, 1000); await new Promise(() => {})
    } }`,
  )
  const output = text(child.stdout)
  await seen(child, 'up')
  child.kill('SIGINT')
  await seen(child, 'closing')
  child.kill('SIGINT')
  t.strictSame(await once(child, 'exit'), [1, null])
  t.match(await output, '"message":"ending at once"')
})

t.test('what nobody caught is logged, and ends the program with 1', async (t) => {
  for (const [thrown, message] of [
    [
      'setTimeout(() => { throw Object.assign(new Error("boom"), { code: "E" }) })',
      'uncaught exception',
    ],
    ['Promise.reject(Object.assign(new Error("boom"), { code: "E" }))', 'unhandled rejection'],
  ]) {
    const loud = script(
      t,
      `commands: { '': async (_, life) => { life.useLogger(log); ${thrown}; await new Promise(() => {}) } }`,
    )
    const [output, [code]] = await Promise.all([text(loud.stdout), once(loud, 'exit')])
    t.equal(code, 1)
    const { stack, ...told } = JSON.parse(output)
    t.match(told, { level: 'error', message, error: { message: 'boom', code: 'E' } })
    t.match(
      stack,
      /boom\n +at .*\btest\/cli\/crash\.ts:6:/,
      'where it was written, not where it was built',
    )

    const early = script(
      t,
      `commands: { '': async () => { ${thrown}; await new Promise(() => {}) } }`,
    )
    const [errors, [earlyCode]] = await Promise.all([text(early.stderr), once(early, 'exit')])
    t.equal(earlyCode, 1)
    t.match(errors, `error: ${message}: boom (E)`)
    t.match(errors, 'test/cli/crash.ts:6:')
  }
})

t.test('a reader that goes away is no failure', async (t) => {
  const child = script(
    t,
    `commands: { '': async (_, life) => {
      life.useLogger(log); log.info('up')
      await new Promise((resolve) => process.stdin.once('data', resolve))
      for (let n = 0; n < 50; n += 1) { log.info('to nobody'); await new Promise(setImmediate) }
      process.stderr.write('still here')
    } }`,
  )
  const errors = text(child.stderr)
  await seen(child, 'up')
  child.stdout?.destroy()
  await once(child.stdout as NonNullable<typeof child.stdout>, 'close')
  child.stdin?.end('go')
  t.strictSame(await once(child, 'exit'), [0, null])
  t.equal(await errors, 'still here')
})

t.test('what was asked for and cannot be written is a failure', async (t) => {
  if (!existsSync('/dev/full')) return t.comment('no /dev/full here: a full disk is NOT tested')
  const command = [process.execPath, resolve(cli, 'server.js'), 'secret']
  const child = spawn('sh', ['-c', 'exec "$0" "$@" > /dev/full', ...command], { env: {} })
  const [stderr, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')])
  t.equal(code, 1)
  t.match(stderr, /^error: .*ENOSPC/)
})

t.test('an error is one line; its causes follow with LOG_LEVEL=debug', async (t) => {
  const error = new CodedError('CERT_FILE_FAILED', 'cannot\nread \u001b[1m', {
    cause: new Error('because', { cause: 'of that' }),
  })
  t.equal(describeError(error, serverUsage), 'error: cannot read  [1m (CERT_FILE_FAILED)\n')
  t.equal(describeError('text', serverUsage), 'error: text\n')
  const before = process.env.LOG_LEVEL
  process.env.LOG_LEVEL = 'debug'
  t.teardown(() => {
    if (before === undefined) delete process.env.LOG_LEVEL
    else process.env.LOG_LEVEL = before
  })
  t.equal(
    describeError(error, serverUsage),
    'error: cannot read  [1m (CERT_FILE_FAILED)\n  caused by: because\n  caused by: of that\n',
  )
})

t.test('exit codes are decided by the code of the error', async (t) => {
  const cases = [
    ['CLI_USAGE', 2],
    ['CONFIG_INVALID', 2],
    ['CONFIG_FILE_MISSING', 2],
    ['CLIENT_REFUSED', 77],
    ['SERVER_LISTEN_FAILED', 1],
  ] as const
  for (const [code, exit] of cases) t.equal(exitCodeOf(new CodedError(code, 'x')), exit, code)
  t.equal(exitCodeOf(undefined), 1)
  t.equal(exitCodeOf(new TypeError('bug')), 1)
})

t.test('a line of Node without security fixes is told of', async (t) => {
  for (const ended of ['v18.20.0', 'v20.20.2', 'v21.0.0', 'v23.11.0', 'v25.1.0']) {
    t.match(endOfLifeNotice(ended), `Node ${ended.slice(1, 3)} gets no security fixes`)
  }
  for (const good of ['v22.23.0', 'v24.0.0', 'v26.10.0', 'v27.0.0', 'v29.1.0']) {
    t.equal(endOfLifeNotice(good), undefined, good)
  }
})

interface RunOptions {
  env?: Record<string, string>
  input?: string | undefined
  cwd?: string
  node?: string[]
}

/** Runs gotunnel-server or gotunnel-agent to its end. */
async function run(t: Test, name: string, args: string[], options: RunOptions = {}) {
  const child = start(t, resolve(cli, `${name}.js`), args, options)
  child.stdin.end(options.input)
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'exit'),
  ])
  return { code: code as number, stdout, stderr }
}

/** A program around `main`, with a logger at hand. */
function script(t: Test, members: string) {
  const contents = `
    import { main } from './main.ts'
    import { createLogger } from './logger.ts'
    const log = createLogger({ logLevel: 'info', logFormat: 'json' })
    const usage = { name: 'x', summary: '', commands: [{ name: '', summary: '', options: [] }], examples: [] }
    await main({ usage, sections: async () => [], ${members} })`
  const outfile = `${t.testdir()}/program.js`
  const resolveDir = resolve(import.meta.dirname, '../../src/cli')
  const stdin = { contents, resolveDir, sourcefile: '../../test/cli/crash.ts' }
  const format = { format: 'esm', platform: 'node', packages: 'external' } as const
  const asBuilt = { bundle: true, sourcemap: true, minifyWhitespace: true, ...format } as const
  buildSync({ stdin, outfile, ...asBuilt })
  return start(t, outfile, [])
}

function start(t: Test, file: string, args: string[], options: RunOptions = {}) {
  // By default a directory without .env and config.yaml, and nothing of our own environment.
  const { env = {}, cwd = cli, node = [] } = options
  // tap puts a loader of its own into every child's NODE_OPTIONS, which makes it start late, and maps its stacks.
  const command = ['-u', 'NODE_OPTIONS', process.execPath, ...node, file, ...args]
  const child = spawn('/usr/bin/env', command, { cwd, env })
  t.teardown(() => child.kill('SIGKILL'))
  return child
}

/** Resolves when the word has come out of the child. */
function seen(child: ChildProcess, word: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let soFar = ''
    child.stdout?.on('data', (chunk) => {
      soFar += chunk
      if (soFar.includes(word)) resolve()
    })
    child.once('exit', () => reject(new Error(`ended without "${word}": ${soFar}`)))
  })
}

t.test('HTTP/2 is for strangers only where Node has the fixes', async (t) => {
  for (const [version, isPatched] of [
    ['v20.20.2', false],
    ['v22.22.9', false],
    ['v22.23.0', true],
    ['v23.99.0', false],
    ['v24.20.0', false],
    ['v24.21.0', true],
    ['v25.99.0', false],
    ['v26.9.0', false],
    ['v26.10.0', true],
    ['v27.0.0', true],
  ] as const) {
    t.equal(hasPatchedHttp2(version), isPatched, version)
  }
})
