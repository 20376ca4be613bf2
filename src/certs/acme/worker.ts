/** The worker's side of `isolated.ts`: one task, then the end. */
import { parentPort, workerData } from 'node:worker_threads'
import { fetchDirectory } from './directory.ts'
import { checkEngine, startEngine } from './engine.ts'
import { AcmeError } from './errors.ts'
import { AcmeHttp } from './http.ts'
import type { FromWorker, OrderTask, PlainError, RegisterTask, Task } from './task.ts'
import { EngineTransport } from './transport.ts'

const owner = parentPort
if (owner === null) throw new Error('this file runs as a worker')

try {
  tell({ kind: 'done', result: await perform(workerData as Task) })
} catch (error) {
  tell({ kind: 'failed', error: plain(error) })
}
owner.close()

async function perform(task: Task): Promise<string> {
  if (task.kind === 'check') {
    checkEngine()
    return ''
  }
  const http = new AcmeHttp(task)
  try {
    return await (task.kind === 'register' ? register(task, http) : order(task, http))
  } finally {
    http.close()
  }
}

async function register(task: RegisterTask, http: AcmeHttp): Promise<string> {
  const engine = await engineFor(task, http)
  return engine.register(task.key, task.email)
}

async function order(task: OrderTask, http: AcmeHttp): Promise<string> {
  const engine = await engineFor(task, http)
  return engine.order({ ...task, present })
}

async function engineFor(task: RegisterTask | OrderTask, http: AcmeHttp) {
  const { directoryUrl } = task
  const directory = await fetchDirectory(http, directoryUrl)
  const transport = new EngineTransport({ ...task, http, directory })
  return startEngine(directoryUrl, transport.request)
}

/** The CA may look once our owner has the answer in place. */
function present({ token, keyAuthorization }: { token: string; keyAuthorization: string }) {
  return new Promise<void>((resolve) => {
    owner?.once('message', () => resolve())
    tell({ kind: 'challenge', token, keyAuthorization })
  })
}

function tell(message: FromWorker): void {
  owner?.postMessage(message)
}

function plain(error: unknown): PlainError {
  if (error instanceof AcmeError) {
    const { code, message, type, retryAfterMs, isOfAccount } = error
    return { code, message, type, retryAfterMs, isOfAccount }
  }
  const said = error instanceof Error ? error.message : String(error)
  const message = said.replace(/\s+/g, ' ').slice(0, 300) // the engine's own are lines of JSON
  return plain(new AcmeError('ACME_ENGINE_FAILED', message))
}
