/**
 * Which paths were used lately, noted in memory until the writer takes them. A use is the lease: what was used within
 * the lease time is not collected.
 */
import { hashPartOf } from '../../nix/store-path.ts'
import type { Leases } from '../store.ts'
import type { Use } from './host.ts'

export class Uses {
  readonly leases: Leases
  readonly #now: () => number
  readonly #byHashPart = new Map<string, Use>()

  /** `now`: milliseconds since 1970. */
  constructor(now: () => number) {
    this.#now = now
    this.leases = {
      covers: (storePath) => {
        this.note(storePath)
        return true
      },
      take: async (storePath) => this.note(storePath),
      hold: async (storePath) => {
        this.note(storePath)
        return () => this.note(storePath)
      },
    }
  }

  note(storePath: string, isPromised = false): void {
    const hashPart = hashPartOf(storePath)
    this.#byHashPart.set(hashPart, {
      hashPart,
      at: this.#now(),
      isPromised: isPromised || this.#byHashPart.get(hashPart)?.isPromised === true,
    })
  }

  /** What was noted since the last call. */
  take(): readonly Use[] {
    const taken = [...this.#byHashPart.values()]
    this.#byHashPart.clear()
    return taken
  }
}
