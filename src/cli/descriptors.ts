import { readFileSync } from 'node:fs'

/** How many files and sockets this process may have open; undefined where the system does not say. */
export function descriptorLimit(): number | undefined {
  try {
    const limits = readFileSync('/proc/self/limits', 'utf8')
    return Number(/^Max open files +(\d+)/m.exec(limits)?.[1]) || undefined
  } catch {
    return undefined
  }
}

/**
 * How many of the visitors that are wanted may come. Beyond the last descriptor the kernel's answer would
 * be for all alike; so a quarter is left for agents, certificates and the dashboard.
 */
export function visitorsWithin(descriptors: number | undefined, wanted: number): number {
  return descriptors === undefined ? wanted : Math.min(wanted, Math.floor((descriptors * 3) / 4))
}
