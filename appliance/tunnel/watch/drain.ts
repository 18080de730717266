/**
 * A connector that was asked to stop and still runs: cloudflared stays for its whole grace period when it has lost its
 * last connection, or had none, though nothing can be under way. Its metrics say so: no link to the edge, and none
 * being dialled.
 */

import type { TunnelClock } from '../tunnel-clock.ts'
import type { MetricsClient } from './metrics-client.ts'
import { createPolling } from './polling.ts'
import { askLinks } from './questions.ts'

const askAgainMs = 500
/** An answer may come from between two links. */
const answersOfNote = 2
/** For its own leave-taking, when it had nothing to carry to begin with. */
const idleMs = 500

export interface DrainParts {
  readonly clock: TunnelClock
  readonly client: MetricsClient | undefined
  /** It had no connection when it was asked to stop. */
  readonly isIdle: boolean
  /** Once: nothing is carried any more. */
  onEmpty(): void
}

/** @returns ends the watching */
export function watchDrain({ clock, client, isIdle, onEmpty }: DrainParts): () => void {
  if (isIdle) return clock.after(idleMs, onEmpty)
  let empty = 0
  const polling = createPolling(clock, async () => {
    const links = client && (await askLinks(client))
    empty = links === 0 ? empty + 1 : 0
    if (empty === answersOfNote) onEmpty()
    return askAgainMs
  })
  if (client !== undefined) polling.soon()
  return () => polling.stop()
}
