import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Answer } from './exchange.ts'

export interface Asset {
  /** Of these very bytes, so that browsers may keep them for ever. */
  readonly url: string
  readonly answer: Answer
}

function asset(name: string, type: string): Asset {
  const body = readFileSync(join(import.meta.dirname, 'assets', name), 'utf8')
  const version = createHash('sha256').update(body).digest('base64url').slice(0, 12)
  const headers = {
    'content-type': `${type}; charset=utf-8`,
    'cache-control': 'public, max-age=31536000, immutable',
  }
  return { url: `/assets/${name}?v=${version}`, answer: { status: 200, headers, body } }
}

export const style = asset('style.css', 'text/css')
export const script = asset('live.js', 'text/javascript')
