/** The door of this folder: `startTunnel(parts)`. */
import { Supervisor } from './supervisor.ts'
import type { Tunnel } from './tunnel.ts'
import type { TunnelParts } from './tunnel-parts.ts'

export type { TunnelClock } from './tunnel-clock.ts'
export type { TunnelParts } from './tunnel-parts.ts'

/** Returns at once, and never throws later: later events are reported by the status and the log. */
export function startTunnel(parts: TunnelParts): Tunnel {
  return new Supervisor(parts)
}
