import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Test } from 'tap'
import { lacks, pathOf } from '../support/tools.js'

// Machines with networks of their own, as far as the kernel makes them: namespaces, joined by cables.

/** Why there can be none here, if so. In CI there have to be. */
export function lacksNetworks(): string | false {
  const lack = lacks('ip', 'nft', 'curl')
  if (lack) return lack
  const name = `gotunnel-try-${process.pid}`
  const { status, stderr } = spawnSync(pathOf('ip') ?? 'ip', ['netns', 'add', name])
  if (status === 0) {
    ip('netns', 'delete', name)
    return false
  }
  const reason = `no network namespaces here (${String(stderr).trim()}): broken networks are NOT tested`
  if (process.env.CI) throw new Error(reason)
  console.error(reason)
  return reason
}

/** A machine; gone with the test, and its cables with it. */
export class Machine {
  readonly name: string
  /** Runs a command there. */
  readonly within: readonly string[]

  constructor(t: Test, name: string) {
    this.name = `gotunnel-${process.pid}-${name}`
    this.within = [pathOf('ip') ?? 'ip', 'netns', 'exec', this.name]
    ip('netns', 'add', this.name)
    const remove = () => spawnSync(pathOf('ip') ?? 'ip', ['netns', 'delete', this.name])
    process.once('exit', remove)
    t.teardown(() => {
      process.off('exit', remove)
      remove()
    })
    this.ip('link', 'set', 'lo', 'up')
  }

  ip(...args: string[]): void {
    ip('-n', this.name, ...args)
  }

  /** What becomes of packets that come by a cable, in nft's words. */
  filter(rule: string): void {
    const rules = `type filter hook input priority 0\n iifname "net*" ${rule}`
    this.#nft(`table inet broken {\n chain in {\n ${rules}\n }\n}`)
  }

  unfilter(): void {
    this.#nft('flush ruleset')
  }

  #nft(text: string): void {
    execFileSync(this.within[0] as string, [...this.within.slice(1), pathOf('nft') ?? 'nft', text])
  }

  /** A web service on a port of its loopback. */
  async serveHttp(t: Test, port: number, body: string): Promise<void> {
    const script = `require('node:http').createServer((_, r) => r.end(${JSON.stringify(body)}))
      .listen(${port}, '127.0.0.1', () => console.log('listening'))`
    const [command = '', ...args] = this.within
    const child = spawn(
      'env',
      ['-u', 'NODE_OPTIONS', command, ...args, process.execPath, '-e', script],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    )
    t.teardown(() => child.kill('SIGKILL'))
    await once(createInterface({ input: child.stdout }), 'line')
  }
}

/** Joins the two, as 10.99.<net>.1 and 10.99.<net>.2; the interface is `net<net>` at both. */
export function cable(one: Machine, other: Machine, net: number): void {
  const end = `net${net}`
  ip('-n', one.name, 'link', 'add', end, 'type', 'veth', 'peer', 'name', end, 'netns', other.name)
  for (const [index, machine] of [one, other].entries()) {
    machine.ip('address', 'add', `10.99.${net}.${index + 1}/24`, 'dev', end)
    machine.ip('link', 'set', end, 'up')
  }
}

function ip(...args: string[]): void {
  execFileSync(pathOf('ip') ?? 'ip', args)
}
