// @ts-check
import { createCipheriv, createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'

/**
 * @typedef {import('node:http').IncomingMessage} Request
 * @typedef {import('node:http').ServerResponse} Response
 */

const MEBIBYTE = 1024 * 1024
const MAX_DOWNLOAD_MIB = 4096

/** Everything the page needs comes from here; nothing is fetched from anywhere else. */
const CONTENT_SECURITY_POLICY = "default-src 'self'; base-uri 'none'; frame-ancestors 'none'"

/** @type {Readonly<Record<string, { file: string, type: string }>>} */
const ASSETS = {
  '/style.css': { file: 'style.css', type: 'text/css; charset=utf-8' },
  '/page.js': { file: 'page.js', type: 'text/javascript; charset=utf-8' },
  '/favicon.svg': { file: 'favicon.svg', type: 'image/svg+xml' },
}

/**
 * The private web service of the demo: a page about the request that fetched it, a clock by
 * server-sent events, an upload that is answered with its checksum, and a download of any size.
 * Not listening yet; whoever made it closes it.
 */
export function createSampleSite() {
  const server = createServer((request, response) => {
    serve(request, response).catch((error) => {
      // A visitor who leaves in the middle is no news; anything else is a fault of the demo.
      if (!request.destroyed) console.error(`sample site: ${error.message}`)
      response.destroy()
    })
  })
  // An upload of a gigabyte over a slow line takes longer than Node's five minutes.
  server.requestTimeout = 0
  return server
}

/**
 * @param {Request} request
 * @param {Response} response
 */
async function serve(request, response) {
  const url = new URL(request.url ?? '/', 'http://sample')
  const asset = ASSETS[url.pathname]
  if (request.method === 'POST' || request.method === 'PUT') {
    if (url.pathname === '/upload') return receiveUpload(request, response)
  } else if (request.method === 'GET' || request.method === 'HEAD') {
    if (url.pathname === '/') return sendFront(request, response)
    if (url.pathname === '/events') return sendEvents(request, response)
    if (url.pathname === '/ping') return sendJson(response, { now: Date.now() })
    if (url.pathname === '/facts') return sendJson(response, factsOf(request))
    if (url.pathname === '/download') return sendDownload(url, request, response)
    if (url.pathname === '/checksum') return sendChecksum(url, response)
    if (asset) return sendAsset(asset, response)
  }
  request.resume()
  sendText(response, 404, `Nothing at ${request.method} ${url.pathname}.\n`)
}

/**
 * A browser gets the page, `curl` the same facts as text.
 * @param {Request} request
 * @param {Response} response
 */
async function sendFront(request, response) {
  const facts = factsOf(request)
  response.setHeader('vary', 'accept')
  if (!request.headers.accept?.includes('text/html')) {
    const headers = facts.headers.map(({ name, value }) => `  ${name}: ${value}\n`).join('')
    return sendText(
      response,
      200,
      `Hello from ${facts.target}, a service with no public address.\n` +
        `${facts.visitor} asked for ${facts.scheme}://${facts.host}/ and this is what arrived here:\n\n` +
        `  ${facts.method} ${facts.path} HTTP/${facts.httpVersion}\n${headers}`,
    )
  }
  const template = await readFile(new URL('site/index.html', import.meta.url), 'utf8')
  /** @type {Record<string, string>} */
  const values = {
    target: escapeHtml(facts.target),
    visitor: escapeHtml(facts.visitor),
    host: escapeHtml(facts.host),
    scheme: escapeHtml(facts.scheme),
    requestLine: escapeHtml(`${facts.method} ${facts.path} HTTP/${facts.httpVersion}`),
    headers: facts.headers.map(headerRow).join('\n'),
  }
  const page = template.replace(/\{\{(\w+)\}\}/g, (_, /** @type {string} */ name) => {
    return values[name] ?? ''
  })
  send(response, 200, 'text/html; charset=utf-8', page)
}

/** @param {{ name: string, value: string, isFromGateway: boolean }} header */
function headerRow({ name, value, isFromGateway }) {
  const mark = isFromGateway ? ' <span class="mark">gateway</span>' : ''
  return `<tr><th scope="row">${escapeHtml(name)}${mark}</th><td>${escapeHtml(value)}</td></tr>`
}

/** @param {Request} request */
function factsOf(request) {
  /** @type {{ name: string, value: string, isFromGateway: boolean }[]} */
  const headers = []
  for (let at = 0; at < request.rawHeaders.length; at += 2) {
    const name = request.rawHeaders[at] ?? ''
    const value = request.rawHeaders[at + 1] ?? ''
    headers.push({ name, value, isFromGateway: /^(x-forwarded-|forwarded$|via$)/i.test(name) })
  }
  const { socket } = request
  return {
    method: request.method ?? '',
    path: request.url ?? '',
    httpVersion: request.httpVersion,
    host: request.headers.host ?? '',
    scheme: first(request.headers['x-forwarded-proto']) ?? 'http',
    visitor: first(request.headers['x-forwarded-for']) ?? socket.remoteAddress ?? 'somebody',
    target: `${socket.localAddress}:${socket.localPort}`,
    headers,
  }
}

/**
 * One event a second until the visitor leaves.
 * @param {Request} request
 * @param {Response} response
 */
function sendEvents(request, response) {
  response.writeHead(200, {
    'content-type': 'text/event-stream',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  })
  let id = 0
  const tick = () => {
    id += 1
    response.write(`id: ${id}\nevent: tick\ndata: ${JSON.stringify({ id, now: Date.now() })}\n\n`)
  }
  tick()
  const timer = setInterval(tick, 1000)
  response.on('close', () => clearInterval(timer))
  request.resume()
}

/**
 * @param {Request} request
 * @param {Response} response
 */
async function receiveUpload(request, response) {
  const hash = createHash('sha256')
  const startedAt = performance.now()
  let bytes = 0
  for await (const chunk of request) {
    hash.update(chunk)
    bytes += chunk.length
  }
  const ms = Math.round(performance.now() - startedAt)
  sendJson(response, { bytes, sha256: hash.digest('hex'), ms })
}

/**
 * @param {URL} url
 * @param {Request} request
 * @param {Response} response
 */
async function sendDownload(url, request, response) {
  const mib = downloadSize(url)
  response.writeHead(200, {
    'content-type': 'application/octet-stream',
    'content-length': mib * MEBIBYTE,
    'content-disposition': `attachment; filename="gotunnel-${mib}-MiB.bin"`,
    'cache-control': 'no-store',
  })
  if (request.method === 'HEAD') return void response.end()
  await pipeline(Readable.from(noise(mib), { highWaterMark: 2 }), response)
}

/**
 * What `sha256sum` must say of a download of the same size.
 * @param {URL} url
 * @param {Response} response
 */
async function sendChecksum(url, response) {
  const mib = downloadSize(url)
  const hash = createHash('sha256')
  for await (const chunk of noise(mib)) hash.update(chunk)
  sendJson(response, { bytes: mib * MEBIBYTE, sha256: hash.digest('hex') })
}

/** @param {URL} url */
function downloadSize(url) {
  const mib = Math.floor(Number(url.searchParams.get('mb') ?? 10))
  return Number.isFinite(mib) ? Math.min(Math.max(mib, 1), MAX_DOWNLOAD_MIB) : 10
}

/**
 * The same bytes at every call, unlike at every position: a lost or moved block changes the checksum.
 * Counter mode over zeros, because it is faster than the tunnel is.
 * @param {number} mib
 */
async function* noise(mib) {
  const cipher = createCipheriv('aes-128-ctr', Buffer.alloc(16, 'gotunnel'), Buffer.alloc(16))
  const zeros = Buffer.alloc(128 * 1024)
  for (let sent = 0; sent < mib * MEBIBYTE; sent += zeros.length) yield cipher.update(zeros)
}

/**
 * @param {{ file: string, type: string }} asset
 * @param {Response} response
 */
async function sendAsset(asset, response) {
  send(
    response,
    200,
    asset.type,
    await readFile(new URL(`site/${asset.file}`, import.meta.url), 'utf8'),
  )
}

/**
 * @param {Response} response
 * @param {unknown} value
 */
function sendJson(response, value) {
  send(response, 200, 'application/json', `${JSON.stringify(value)}\n`)
}

/**
 * @param {Response} response
 * @param {number} status
 * @param {string} text
 */
function sendText(response, status, text) {
  send(response, status, 'text/plain; charset=utf-8', text)
}

/**
 * @param {Response} response
 * @param {number} status
 * @param {string} type
 * @param {string} body
 */
function send(response, status, type, body) {
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'content-security-policy': CONTENT_SECURITY_POLICY,
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
  })
  response.end(body)
}

/** @param {string | string[] | undefined} value */
function first(value) {
  return (Array.isArray(value) ? value[0] : value)?.split(',')[0]?.trim()
}

/** @param {string} text */
function escapeHtml(text) {
  return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`)
}
