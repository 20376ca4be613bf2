import { readFileSync, writeFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import t from 'tap'
import { startAgent, startGateway, temporaryDirectory } from '../support/programs.ts'
import { lacks, lacksNewerNode, newerNode } from '../support/tools.js'
import { startNginx } from './daemons.ts'
import { bytesUpTo, closedPort, listen, sha256 } from './targets.ts'
import { curl } from './visitor.ts'

// What HTTP can do, by curl in both versions: through a gateway on a Node that has HTTP/2 by default, to
// nginx for files, and to Node for everything else.

const fileBytes = 20_000_000
const uploadBytes = 8 << 20

t.test('curl', { skip: lacksNewerNode() || lacks('curl', 'nginx') }, async (t) => {
  const directory = temporaryDirectory(t)
  const inDirectory = (name: string) => join(directory, name)
  const content = await buffer(bytesUpTo(fileBytes))
  writeFileSync(inDirectory('file'), content)
  const upload = inDirectory('upload')
  writeFileSync(upload, await buffer(bytesUpTo(uploadBytes)))
  const uploadSum = await sha256(bytesUpTo(uploadBytes))

  const filesPort = await closedPort()
  const server = `server { listen 127.0.0.1:${filesPort}; root ${directory}; }`
  await startNginx(t, server, [filesPort], directory)
  const site = createServer(answer)
  site.on('checkContinue', (request, response) => {
    if (request.url === '/refused') answer(request, response)
    else {
      response.writeContinue()
      answer(request, response)
    }
  })
  const gateway = await startGateway(t, { node: newerNode })
  const agent = await startAgent(t, gateway, [
    { hostname: 'files.localhost', target: filesPort },
    { hostname: 'app.localhost', target: await listen(t, site) },
  ])

  for (const version of ['1.1', '2']) {
    t.test(`over HTTP/${version}`, async (t) => {
      /** What curl writes to stdout, but for header lines as it dumps them. */
      const get = async (path: string, args: readonly string[] = [], host = 'app.localhost') => {
        const url = `https://${host}:${gateway.ports.public}${path}`
        const dump = inDirectory(`headers-${version}`)
        const all = [`--http${version}`, '--dump-header', dump, ...args]
        const { code, stdout, stderr } = await curl(gateway, url, all)
        t.strictSame([code, stderr], [0, ''], `curl ${args.join(' ')} ${path}`)
        return { body: stdout, heads: readFileSync(dump, 'latin1') }
      }
      const statusLine = (status: string) => new RegExp(`^HTTP/${version} ${status}`)

      t.test('has a page, and posts a form', async (t) => {
        const { body, heads } = await get('/echo?a=b')
        t.match(heads, statusLine('200'))
        t.match(JSON.parse(String(body)), { method: 'GET', url: '/echo?a=b', bytes: 0 })
        const { body: posted } = await get('/echo', ['--data', 'c=d'])
        const type = 'application/x-www-form-urlencoded'
        t.match(JSON.parse(String(posted)), { method: 'POST', type, length: '3', bytes: 3 })
      })

      t.test('uploads a file, of known length and of unknown', async (t) => {
        const known = await get('/echo', ['--upload-file', upload])
        const expected = { method: 'PUT', bytes: uploadBytes, sum: uploadSum }
        t.match(JSON.parse(String(known.body)), { ...expected, length: String(uploadBytes) })
        const chunks = ['--header', 'Transfer-Encoding: chunked', '--request', 'POST']
        const asStream = version === '1.1' ? chunks : ['--header', 'Content-Length:']
        const unknown = await get('/echo', ['--upload-file', upload, ...asStream])
        const { length, coding, ...rest } = JSON.parse(String(unknown.body))
        t.match(rest, { bytes: uploadBytes, sum: uploadSum })
        t.strictSame([length, coding], [undefined, 'chunked'])
      })

      t.test('waits with an upload for 100, and is told to go on, or is refused', async (t) => {
        const waiting = ['--header', 'Expect: 100-continue', '--expect100-timeout', '60']
        const taken = await get('/echo', ['--upload-file', upload, ...waiting])
        t.match(JSON.parse(String(taken.body)), { bytes: uploadBytes, sum: uploadSum })
        t.match(taken.heads, statusLine('100'))
        const refused = await get('/refused', ['--upload-file', upload, ...waiting])
        t.match(refused.heads, statusLine('413'))
        t.equal(String(refused.body), 'too large\n')
      })

      t.test('has the answer to an upload that came before its end', async (t) => {
        const { body, heads } = await get('/refused', [
          ...['--upload-file', upload],
          ...['--header', 'Expect:'],
        ])
        t.match(heads, /^HTTP\/\S+ 413/m)
        t.equal(String(body), 'too large\n')
      })

      t.test('downloads a file, and resumes where it was broken off', async (t) => {
        const { body } = await get('/file', [], 'files.localhost')
        t.ok(body.equals(content))
        const part = inDirectory(`part-${version}`)
        writeFileSync(part, content.subarray(0, 7_654_321))
        const { heads } = await get(
          '/file',
          ['--continue-at', '-', '--output', part],
          'files.localhost',
        )
        t.match(heads, statusLine('206'))
        t.match(heads, /^content-range: bytes 7654321-19999999\/20000000\r$/im)
        t.ok(readFileSync(part).equals(content))
      })

      t.test('has ranges: one, several, none', async (t) => {
        const range = (value: string) => get('/file', ['--range', value], 'files.localhost')
        t.ok((await range('100-299')).body.equals(content.subarray(100, 300)))
        t.ok((await range('-5')).body.equals(content.subarray(-5)))
        const several = await range('0-1,10-12')
        t.match(several.heads, /^content-type: multipart\/byteranges/im)
        t.match(String(several.body), 'Content-Range: bytes 10-12/20000000')
        t.match((await range('20000000-')).heads, statusLine('416'))
      })

      t.test('hears a length without a body: HEAD, 204, 304', async (t) => {
        const head = await get('/file', ['--head'], 'files.localhost')
        t.match(head.heads, statusLine('200'))
        t.match(head.heads, /^content-length: 20000000\r$/im)
        const etag = /^etag: (\S+)/im.exec(head.heads)?.[1]
        const known = ['--header', `If-None-Match: ${etag}`]
        const unchanged = await get('/file', known, 'files.localhost')
        t.match(unchanged.heads, statusLine('304'))
        t.match(unchanged.heads, etag)
        t.equal(unchanged.body.length, 0)
        const empty = await get('/empty')
        t.match(empty.heads, statusLine('204'))
        t.notMatch(empty.heads, /^(?:content-length|transfer-encoding)/im)
        t.equal(empty.body.length, 0)
      })

      t.test('hears hints before the answer, and trailers behind it', async (t) => {
        const hinted = await get('/hinted')
        t.match(hinted.heads, statusLine('103'))
        t.match(hinted.heads, /^link: <\/style\.css>; rel=preload; as=style\r$/im)
        t.match(hinted.heads, new RegExp(`\r\n\r\nHTTP/${version} 200`))
        const { heads } = await get('/trailers')
        t.match(heads, /\r\n\r\nx-checksum: 1234\r\n/i)
      })

      t.test('asks again and again on one connection', async (t) => {
        const url = `https://app.localhost:${gateway.ports.public}/echo`
        const others = Array.from({ length: 20 }, () => ['--output', '/dev/null', url]).flat()
        const format = ['--write-out', '%{num_connects} %{http_code},']
        const { body } = await get('/empty', [...format, ...others])
        t.equal(String(body), `1 200,${'0 200,'.repeat(19)}0 204,`)
      })
    })
  }

  t.test('nothing of all this was worth a warning', { buffered: false }, async (t) => {
    for (const program of [gateway.program, agent]) {
      t.strictSame(program.warnings, [])
      t.equal(program.stderr, '')
    }
  })
})

/** Says what it was asked. */
async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { method, url, headers } = request
  if (url === '/refused') {
    response.writeHead(413).end('too large\n')
  } else if (url === '/empty') {
    response.writeHead(204).end()
  } else if (url === '/hinted') {
    response.writeEarlyHints({ link: '</style.css>; rel=preload; as=style' })
    response.end('hinted')
  } else if (url === '/trailers') {
    response.writeHead(200, { trailer: 'x-checksum' })
    response.write('with trailers')
    response.addTrailers({ 'x-checksum': '1234' })
    response.end()
  } else {
    let bytes = 0
    request.on('data', (chunk: Buffer) => (bytes += chunk.length))
    const sum = await sha256(request)
    response.setHeader('content-type', 'application/json')
    const lines = { type: headers['content-type'], length: headers['content-length'] }
    const coding = headers['transfer-encoding']
    response.end(JSON.stringify({ method, url, ...lines, coding, bytes, sum }))
  }
}
