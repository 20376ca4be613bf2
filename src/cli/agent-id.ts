import { createHash } from 'node:crypto'
import { readFileSync, realpathSync } from 'node:fs'
import { hostname } from 'node:os'
import { resolve } from 'node:path'
import type { Invocation } from './arguments.ts'

/**
 * By what a gateway knows this agent again after a restart: made of the machine, and of the configuration file or
 * else what was typed. The machine's own id is in the images that containers and clones are made of, its name
 * as a rule is not.
 */
export function deriveAgentId(invocation: Invocation): string {
  const parts = [machineId(), hostname(), ...source(invocation)]
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 32)
}

function source(invocation: Invocation): unknown[] {
  const { command } = invocation
  if (command.name === '') return [realPath(invocation.value('config') ?? 'config.yaml')]
  return [command.name, invocation.value('hostname'), invocation.value('listen-port')]
}

/** As systemd and D-Bus keep it; elsewhere the name has to do. */
function machineId(): string | undefined {
  for (const file of ['/etc/machine-id', '/var/lib/dbus/machine-id']) {
    try {
      return readFileSync(file, 'utf8').trim()
    } catch {}
  }
  return undefined
}

function realPath(file: string): string {
  try {
    return realpathSync(file)
  } catch {
    return resolve(file)
  }
}
