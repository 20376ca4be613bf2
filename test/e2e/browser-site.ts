import { EventEmitter, once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { join } from 'node:path'
import { json, text } from 'node:stream/consumers'
import { WebSocketServer } from 'ws'

const fixture = (name: string) =>
  readFileSync(join(import.meta.dirname, '../fixtures/browser-page', name))

/** The service with the page. */
export class Site {
  readonly news = new EventEmitter()
  readonly server = createServer((request, response) => void this.#answer(request, response))

  constructor() {
    const webSockets = new WebSocketServer({ server: this.server, path: '/socket' })
    webSockets.on('connection', (each) => {
      each.on('message', (data, isBinary) => each.send(data, { binary: isBinary }))
    })
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { url = '' } = request
    const [, kind = ''] = /^\/asset-\d+\.(css|js|svg)$/.exec(url) ?? []
    const asset = assetsByKind[kind]
    if (asset !== undefined) response.setHeader('content-type', asset.type).end(asset.text)
    else if (url === '/') response.setHeader('content-type', 'text/html').end(fixture('index.html'))
    else if (url === '/page.js') response.end(fixture('page.js'))
    else if (url === '/events') {
      response.setHeader('content-type', 'text/event-stream')
      const event = (data: string) => `data: ${data}\n\n`
      await this.#send(response, 'event', ['first', 'second', 'last'].map(event))
    } else if (url === '/pieces') await this.#send(response, 'piece', ['one', 'two', 'three'])
    else if (url.startsWith('/next-')) {
      this.news.emit(url.slice('/next-'.length))
      response.end()
    } else if (url === '/upload') {
      response.end(JSON.stringify({ bytes: (await text(request)).length }))
    } else if (url === '/report') {
      this.news.emit('report', await json(request))
      response.end()
    } else response.writeHead(404).end()
  }

  /** Each when the page has asked for the next. */
  async #send(response: ServerResponse, what: string, pieces: readonly string[]): Promise<void> {
    for (const piece of pieces) {
      const isAsked = once(this.news, what)
      response.write(piece)
      if (piece !== pieces.at(-1)) await isAsked
    }
    response.end()
  }
}

const assetsByKind: Record<string, { readonly type: string; readonly text: string }> = {
  css: { type: 'text/css', text: 'body { color: green }' },
  js: { type: 'text/javascript', text: 'scripts += 1' },
  svg: {
    type: 'image/svg+xml',
    text: '<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>',
  },
}
