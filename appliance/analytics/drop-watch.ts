/**
 * Notices when the tunnel is lost, and when it is back. A tunnel that was never connected, or that is stopped on purpose,
 * is not lost.
 */
import type { TunnelState, TunnelStatus } from '../tunnel/tunnel.ts'
import type { DropChange } from './batch.ts'

const isUp: Readonly<Record<TunnelState, boolean>> = {
  off: false,
  'missing-binary': false,
  starting: false,
  connected: true,
  // Fewer connections than usual: requests arrive.
  degraded: true,
  reconnecting: false,
  'backing-off': false,
  failed: false,
}
const maxReasonLength = 200

export interface DropWatch {
  tunnelChanged(status: Pick<TunnelStatus, 'state' | 'reason' | 'isStopping'>): void
  /** Ends a drop that lasts: this program ends. */
  stop(): void
}

export function createDropWatch(note: (change: DropChange) => void, now: () => number): DropWatch {
  let wasUp = false
  let drop: DropChange | undefined
  let lastAt = 0

  const end = () => {
    if (drop !== undefined) note({ ...drop, until: now() })
    drop = undefined
  }
  return {
    tunnelChanged({ state, reason, isStopping }) {
      if (isUp[state]) {
        end()
        wasUp = true
      } else if (isStopping || state === 'off') {
        end()
        wasUp = false
      } else if (wasUp && drop === undefined) {
        // Drops are told apart by their time.
        lastAt = Math.max(now(), lastAt + 1)
        drop = { from: lastAt, until: undefined, reason: reason.slice(0, maxReasonLength) }
        note(drop)
        wasUp = false
      }
    },
    stop: end,
  }
}
