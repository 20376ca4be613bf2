import { type Caller, isFromOwnPage } from './access.ts'
import { type Answer, type DashboardRequest, text, withHeaders } from './exchange.ts'

export interface Asking {
  readonly request: DashboardRequest
  readonly caller: Caller
  /** What stands in the place of `:id`. */
  readonly id: string
}

export type Handler = (asking: Asking) => Answer | Promise<Answer>
export type Methods = Partial<Record<'GET' | 'POST' | 'DELETE', Handler>>
/** By path; `:id` stands for any one part of it. */
export type Paths = Readonly<Record<string, Methods>>

export interface Found {
  readonly methods: Methods
  readonly id: string
}

export function find(paths: Paths, { path }: DashboardRequest): Found | undefined {
  if (Object.hasOwn(paths, path) && !path.includes(':')) {
    return { methods: paths[path] as Methods, id: '' }
  }
  for (const [pattern, methods] of Object.entries(paths)) {
    const [before = '', after] = pattern.split(':id')
    if (after === undefined || !path.startsWith(before) || !path.endsWith(after)) continue
    const id = path.slice(before.length, path.length - after.length)
    if (/^[\w-]{1,64}$/.test(id)) return { methods, id }
  }
  return undefined
}

/** Does what is asked, if that can be done there, and a page of ours asks, or no page at all. */
export async function perform(
  { methods, id }: Found,
  request: DashboardRequest,
  caller: Caller = nobody,
): Promise<Answer> {
  const method = request.method === 'HEAD' ? 'GET' : request.method
  const handler = Object.hasOwn(methods, method) ? methods[method as keyof Methods] : undefined
  if (handler === undefined) {
    const allow = Object.keys(methods).flatMap((name) => (name === 'GET' ? [name, 'HEAD'] : name))
    return withHeaders(text(405, 'This cannot be done here.'), { allow: allow.join(', ') })
  }
  if (method !== 'GET' && !isFromOwnPage(request)) {
    return text(403, 'This was sent by a page from elsewhere.')
  }
  return handler({ request, caller, id })
}

const nobody: Caller = { formToken: '', canLogOut: false, isWelcome: () => false }
