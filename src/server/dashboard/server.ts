import http from 'node:http'
import type { Readable, Writable } from 'node:stream'
import type { OwnPages } from '../edge/own-page.ts'
import { VisitStream } from '../edge/visits/visit-stream.ts'
import type { Dashboard } from './dashboard.ts'
import type { Answer, DashboardRequest } from './exchange.ts'

/** The dashboard on a port of its own. Not listening yet; whoever made it closes it. */
export function createDashboardServer(dashboard: Dashboard): http.Server {
  const server = http.createServer(timeouts, (request, response) => {
    const { method = 'GET', url = '/', rawHeaders, socket } = request
    const remoteAddress = socket.remoteAddress ?? ''
    const asked = { method, url, rawHeaders, remoteAddress, isSecure: false, stream: request }
    void dashboard.answer(requestOf(asked)).then((answer) => {
      if (response.destroyed) return
      // Nobody waits here for the body of what was not asked for.
      const isUnread = !request.complete && request.method !== 'GET'
      response.writeHead(answer.status, {
        ...answer.headers,
        ...(typeof answer.body === 'string' && {
          'content-length': Buffer.byteLength(answer.body),
        }),
        ...(isUnread && { connection: 'close' }),
      })
      sendBody(answer, method, response, () => response.end())
    })
  })
  server.maxHeadersCount = 0 // Node's limit hides lines instead of refusing them
  return server
}

/** The same at the public port, where the gateway's own name leads. */
export function dashboardPages(dashboard: Dashboard): OwnPages {
  return (visit, { remoteAddress, onDone }) => {
    const { method, url, rawHeaders } = visit.head
    const stream = new VisitStream(visit)
    stream.once('close', () => onDone(visit.isAnswered ? 'whole' : 'aborted'))
    visit.sendContinue()
    const asked = { method, url, rawHeaders, remoteAddress, isSecure: true, stream }
    void dashboard.answer(requestOf(asked)).then((answer) => {
      if (visit.isClosed) return
      const { status, headers, body } = answer
      const lines = Object.entries(headers).flat()
      if (typeof body === 'string') lines.push('content-length', String(Buffer.byteLength(body)))
      visit.respond({ status, lines })
      sendBody(answer, method, stream, () => stream.end())
    })
  }
}

const timeouts: http.ServerOptions = {
  headersTimeout: 10_000,
  requestTimeout: 10_000,
  keepAliveTimeout: 5_000,
  connectionsCheckingInterval: 1_000, // by default the two above are looked at every 30 s
}

/** A form of ours has a password or a token in it. */
const longestBody = 4_096

interface Asked extends Omit<DashboardRequest, 'path' | 'query' | 'body'> {
  readonly url: string
  readonly stream: Readable
}

function requestOf({ url, stream, ...request }: Asked): DashboardRequest {
  const at = url.indexOf('?')
  const path = at === -1 ? url : url.slice(0, at)
  const query = new URLSearchParams(at === -1 ? '' : url.slice(at))
  return { ...request, path, query, body: () => readBody(stream) }
}

async function readBody(stream: Readable): Promise<string | undefined> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
    chunks.push(chunk as Buffer)
    length += (chunk as Buffer).length
    if (length > longestBody) return undefined
  }
  return Buffer.concat(chunks).toString('utf8')
}

function sendBody(answer: Answer, method: string, response: Writable, end: () => void): void {
  const { body } = answer
  if (method === 'HEAD') end()
  else if (typeof body === 'string') {
    response.write(body)
    end()
  } else response.once('close', body(response))
}
