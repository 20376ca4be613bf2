/*
 * The ACME engine runs in a worker thread of its own for each task: whatever it does, exit, compute for ever,
 * print, grow, costs that task and nothing else. A worker starts in a tenth of a second.
 */
import { Worker } from 'node:worker_threads'
import { AcmeError } from './errors.ts'
import type { FromWorker, Task } from './task.ts'

export interface RunOptions {
  readonly signal?: AbortSignal | undefined
  /** Default: beside this file. */
  readonly workerFile?: URL | undefined
  /** Puts the answer to a challenge in its place. */
  readonly present?: (challenge: { token: string; keyAuthorization: string }) => Promise<void>
}

/**
 * What the task gives. An aborted signal ends the worker at once.
 * @throws AcmeError, or the signal's reason.
 */
export async function runIsolated(task: Task, options: RunOptions = {}): Promise<string> {
  const { signal, workerFile = WORKER_FILE, present } = options
  signal?.throwIfAborted()
  const worker = new Worker(workerFile, {
    workerData: task,
    env: {}, // the gateway's has its secrets
    execArgv: [],
    stdout: true,
    stderr: true,
    resourceLimits: { maxOldGenerationSizeMb: 128 },
  })
  // Read and dropped: nothing the engine prints is for anybody.
  worker.stdout.resume()
  worker.stderr.resume()
  try {
    return await new Promise<string>((resolve, reject) => {
      const fail = (reason: string, cause?: unknown) => {
        reject(new AcmeError('ACME_ENGINE_FAILED', `the ACME engine ${reason}`, { cause }))
      }
      signal?.addEventListener('abort', () => reject(signal.reason), { once: true })
      worker.on('error', (error) => fail(`failed: ${error.message}`, error))
      worker.on('exit', (code) => fail(`ended without a result, with code ${code}`))
      worker.on('message', (message: FromWorker) => {
        if (message.kind === 'challenge') {
          Promise.resolve(present?.(message)).then(() => worker.postMessage('presented'), reject)
        } else if (message.kind === 'done') {
          resolve(message.result)
        } else {
          const { code, message: said, ...facts } = message.error
          reject(new AcmeError(code, said, facts))
        }
      })
    })
  } finally {
    await worker.terminate()
  }
}

const WORKER_FILE = new URL('./worker.js', import.meta.url)
