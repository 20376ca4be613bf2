/** What we can do beyond the Go program. A thing is used only when both sides have announced it. */
export const CAPABILITIES = [
  /** The preamble may be of version 2 (docs/wire.md, "Data streams"). */
  'proxy-preamble',
  /** Tunnels may ask for a public port of their own (docs/wire.md, "`register`"). */
  'listen-port',
  /** The gateway says why it ends a session (docs/wire.md, "`end`"). */
  'end-reason',
  /** The gateway says when another session of the same agent has taken over (docs/wire.md, "`replaced`"). */
  'take-over',
  /** An agent may change its tunnels while the session lives (docs/wire.md, "`update`"). */
  'update',
  /** Tunnels may name what their target speaks (docs/wire.md, "`register`"). */
  'target-protocol',
  /** Tunnels may have rules: who may come in, and what is changed on the way (rules.ts). */
  'tunnel-rules',
  /** The gateway tells what visitors ask for, to be shown (docs/wire.md, "`requests`"). */
  'request-news',
] as const

export type Capability = (typeof CAPABILITIES)[number]
