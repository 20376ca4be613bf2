import t from 'tap'
import { serve, session, statusWith } from './dashboard-fixture.ts'

const password = 'correct horse'
const bearer = (word: string) => ({ headers: { Authorization: `Bearer ${word}` } })
const status = () => statusWith([session({})])

t.test('with a password', async (t) => {
  t.test('people are sent to a form, and programs are told', async (t) => {
    const { get } = await serve(t, status, { password })
    for (const path of ['/', '/sessions', '/requests/1', '/nothing-here']) {
      const { code, headers, body } = await get(path)
      t.equal(code, 303, path)
      t.equal(headers.location, `/login?${new URLSearchParams({ next: path })}`)
      t.notMatch(body, 'shed')
    }
    for (const path of ['/metrics', '/api/v1/status', '/api/v1/nothing']) {
      const { code, headers } = await get(path)
      t.equal(code, 401, path)
      t.match(headers['www-authenticate'], /^Bearer/)
    }
    t.equal((await get('/api/v1/sessions/s1', { method: 'DELETE' })).code, 401)
    t.equal((await get('/healthz')).code, 200, 'probes need none')
    t.equal((await get('/readyz')).code, 200)
    t.equal((await get('/login', { host: 'evil.example' })).code, 403, 'only by our names')
  })

  t.test('programs come in with it', async (t) => {
    const { get, log } = await serve(t, status, { password })
    t.equal((await get('/metrics', bearer(password))).code, 200)
    t.equal((await get('/api/v1/status', bearer(password))).code, 200)
    t.equal((await get('/api/v1/sessions/s1', { method: 'DELETE', ...bearer(password) })).code, 200)
    t.equal((await get('/api/v1/status', bearer('wrong'))).code, 401)
    t.match(log.lines.at(-1), { level: 'warn', message: 'a wrong password for the dashboard' })
    t.notMatch(JSON.stringify(log.lines), 'wrong"', 'nothing typed is logged')
  })

  t.test('a login lasts until it is taken back', async (t) => {
    const { get } = await serve(t, status, { password })
    const { code, headers } = await logIn(get, `password=correct+horse&next=%2Fsessions%3Fq%3Dshed`)
    t.equal(code, 303)
    t.equal(headers.location, '/sessions?q=shed')
    const [line = ''] = headers['set-cookie'] ?? []
    t.match(line, /^gotunnel=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict$/)
    const cookie = line.split(';', 1)[0] ?? ''
    const inside = await get('/sessions', { headers: { Cookie: `other=1; ${cookie}` } })
    t.match(inside, { code: 200, body: 'shed' })
    const [, token = ''] = /name="token" value="([\w-]+)"/.exec(inside.body) ?? []

    const post = (path: string, body: string, more = {}) =>
      get(path, { method: 'POST', body, headers: { Cookie: cookie, ...more } })
    t.equal((await post('/sessions/s1/disconnect', '')).code, 403, 'without the token')
    t.equal((await post('/sessions/s1/disconnect', 'token=x')).code, 403)
    for (const foreign of [
      { Origin: 'http://evil.example' },
      { Origin: 'null' },
      { Origin: 'http://localhost:1' },
      { 'Sec-Fetch-Site': 'cross-site' },
      { 'Sec-Fetch-Site': 'same-site' },
    ]) {
      const { code } = await post('/sessions/s1/disconnect', `token=${token}`, foreign)
      t.equal(code, 403, JSON.stringify(foreign))
    }
    const own = { Origin: 'http://localhost', 'Sec-Fetch-Site': 'same-origin' }
    const done = await post('/sessions/s1/disconnect', `token=${token}`, own)
    t.match(done, { code: 303, headers: { location: '/sessions' } })

    const out = await post('/logout', `token=${token}`)
    t.match(out.headers['set-cookie']?.[0], /^gotunnel=; .*Max-Age=0/)
    t.equal((await get('/', { headers: { Cookie: cookie } })).code, 303, 'and it is over')
  })

  t.test('leads nowhere but here', async (t) => {
    const { get } = await serve(t, status, { password })
    for (const next of [
      '//evil.example',
      'https://evil.example/',
      '/\\evil.example',
      'x',
      '/a\r\nb',
    ]) {
      const body = new URLSearchParams({ password, next }).toString()
      t.equal((await logIn(get, body)).headers.location, '/', next)
    }
  })

  t.test('a wrong one shows the form again, later and later', async (t) => {
    const { get } = await serve(t, status, { password })
    const first = await logIn(get, 'password=<script>&next=/')
    t.match(first, { code: 401, body: 'That is not the password' })
    t.equal(first.headers['set-cookie'], undefined)
    for (let count = 0; count < 9; count += 1) await logIn(get, 'password=guess')
    const startMs = performance.now()
    t.equal((await logIn(get, 'password=guess')).code, 401)
    t.ok(performance.now() - startMs >= 200, 'the eleventh')
    t.equal((await logIn(get, `password=${password}`)).code, 303, 'the right one still counts')
    t.equal((await logIn(get, `password=${'x'.repeat(5_000)}`)).code, 401, 'and none is too long')
  })

  t.test('the form has what it needs without JavaScript', async (t) => {
    const { get } = await serve(t, status, { password })
    const { code, body } = await get('/login?next=%22%3E%3Cscript%3E')
    t.equal(code, 200)
    t.match(body, /<form[^>]* method="post" action="\/login">/)
    t.match(body, /name="next" value="\/"/)
    t.notMatch(body, /<script/)
  })
})

t.test('without a password', async (t) => {
  t.test('actions still need a form of ours', async (t) => {
    const { get } = await serve(t, status)
    t.equal((await get('/login')).headers.location, '/')
    const { body } = await get('/sessions')
    const [, token = ''] = /name="token" value="([\w-]+)"/.exec(body) ?? []
    const post = (sent: string, headers = {}) =>
      get('/sessions/s1/disconnect', { method: 'POST', body: sent, headers })
    t.equal((await post('')).code, 403)
    t.equal((await post(`token=${token}`, { Origin: 'http://evil.example' })).code, 403)
    t.equal((await post(`token=${token}`)).code, 303)
    const remove = (headers: object) =>
      get('/api/v1/sessions/s1', { method: 'DELETE', headers: { ...headers } })
    t.equal((await remove({ Origin: 'http://evil.example' })).code, 403)
    t.equal((await remove({})).code, 200, 'programs say nothing of where they are from')
  })
})

t.test('an open page is sent what changes, and no more', async (t) => {
  let streams = 4
  const { port } = await serve(t, () => statusWith([session({ streams })]))
  const abort = new AbortController()
  t.teardown(() => abort.abort())
  const response = await fetch(`http://localhost:${port}/sessions`, {
    headers: { Accept: 'text/event-stream' },
    signal: abort.signal,
  })
  t.match(response.headers.get('content-type'), 'text/event-stream')
  const events = eventsOf(response)
  const first = await events.next()
  t.match(Object.keys(first.value.set), ['pager', 's-s1', 'none', 'state'])
  t.strictSame(first.value.order, { sessions: ['s-s1'] })
  streams = 5
  const second = await events.next()
  t.strictSame(Object.keys(second.value.set), ['s-s1'])
  t.strictSame(second.value.order, {})
})

t.test('as many open pages as may be, and no more', async (t) => {
  const { port, dashboard } = await serve(t, () => statusWith([]))
  const open = () =>
    fetch(`http://localhost:${port}/`, { headers: { Accept: 'text/event-stream' } })
  const pages = await Promise.all(Array.from({ length: 50 }, open))
  t.ok(pages.every(({ status }) => status === 200))
  const late = await open()
  t.equal(late.status, 503)
  dashboard.close()
  await Promise.all(pages.map((page) => page.text()))
  t.pass('and all of them end with it')
})

type Get = Awaited<ReturnType<typeof serve>>['get']

function logIn(get: Get, body: string) {
  return get('/login', { method: 'POST', body })
}

async function* eventsOf(response: Response) {
  let text = ''
  const decoder = new TextDecoder()
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk as Uint8Array, { stream: true })
    const parts = text.split('\n\n')
    text = parts.pop() ?? ''
    for (const part of parts) {
      const [, data] = /^data: (\{.*)$/m.exec(part) ?? []
      if (data !== undefined) yield JSON.parse(data)
    }
  }
}
