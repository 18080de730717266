/**
 * What outlives Burrow of its tunnel, written when it has changed, one write at a time and not often: a connector that
 * comes and goes must not wear a disk out.
 */
import type { Log } from '../../src/index.ts'
import type { TunnelFacts, TunnelMemory } from './tunnel.ts'
import type { TunnelClock } from './tunnel-clock.ts'

const pauseMs = 10_000

export interface FactsKeeper {
  keep(facts: TunnelFacts): void
  /** Writes what waits. Never rejects. */
  end(): Promise<void>
}

export function createFactsKeeper(memory: TunnelMemory, clock: TunnelClock, log: Log): FactsKeeper {
  let known: TunnelFacts = {}
  let isDue = false
  let isEnded = false
  let writing: Promise<void> | undefined
  let cancelPause: (() => void) | undefined

  async function write(): Promise<void> {
    if (!isDue) return
    isDue = false
    try {
      await memory.remember(known)
    } catch (error) {
      log.warn(
        { err: error },
        'Cannot save the state of the tunnel: "burrow status" may show an old one while Burrow is not running',
      )
    }
  }

  function begin(): void {
    if (!isDue || isEnded || writing !== undefined || cancelPause !== undefined) return
    cancelPause = clock.after(pauseMs, () => {
      cancelPause = undefined
      begin()
    })
    writing = write().finally(() => {
      writing = undefined
      begin()
    })
  }

  return {
    keep(facts) {
      const news = Object.entries(facts).filter(
        ([name, value]) => value !== undefined && known[name as keyof TunnelFacts] !== value,
      )
      if (news.length === 0) return
      known = { ...known, ...Object.fromEntries(news) }
      isDue = true
      begin()
    },
    async end() {
      isEnded = true
      cancelPause?.()
      await writing
      await write()
    },
  }
}
