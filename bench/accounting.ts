import { readdirSync, readFileSync } from 'node:fs'

// What processes have used, by the kernel's account (Linux, proc(5)).

const ticksPerSecond = 100 // USER_HZ, the same on all of Linux's architectures that Node runs on

/** CPU seconds that these processes and those they have started took so far, those that ended not counted. */
export function cpuSecondsOf(pids: readonly number[]): number {
  const statistics = allStatistics()
  const isOurs = (pid: number): boolean => {
    if (pids.includes(pid)) return true
    const parent = statistics.get(pid)?.parent ?? 0
    return parent > 1 && isOurs(parent)
  }
  let ticks = 0
  for (const [pid, each] of statistics) if (isOurs(pid)) ticks += each.ticks
  return ticks / ticksPerSecond
}

/** Resident memory of one, in KiB. */
export function residentKiB(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1])
}

function allStatistics(): Map<number, { parent: number; ticks: number }> {
  const all = new Map<number, { parent: number; ticks: number }>()
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    try {
      // The name in parentheses may have spaces in it.
      const fields = readFileSync(`/proc/${name}/stat`, 'utf8')
        .replace(/^.*\) /s, '')
        .split(' ')
      const [parent, user, system] = [fields[1], fields[11], fields[12]].map(Number)
      all.set(Number(name), { parent: parent ?? 0, ticks: (user ?? 0) + (system ?? 0) })
    } catch {
      // It has just ended.
    }
  }
  return all
}
