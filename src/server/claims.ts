// What an agent can hold beside hostnames, as names of the registry. The colon keeps the two apart:
// no canonical hostname has one.

/** Plain SSH on the public port, where a client names no host: one route has it. */
export const sshName = 'ssh:'

/** A public port of an agent's own. */
export function portName(port: number): string {
  return `${portPrefix}${port}`
}

/** The port that a name stands for, if it is one's. */
export function portOfName(name: string): number | undefined {
  return name.startsWith(portPrefix) ? Number(name.slice(portPrefix.length)) : undefined
}

/** Whether a claimed name is a hostname, and none of those above. */
export function isHostname(name: string): boolean {
  return !name.includes(':')
}

const portPrefix = 'tcp:'
