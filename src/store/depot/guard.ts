/**
 * Runs the writer's operations. A refusal becomes a value, a full disk a refusal, and everything else a log entry and
 * the reply that the cache is unavailable.
 */
import { isDiskFull } from '../../disk/disk.ts'
import type { WriterHost } from './host.ts'
import { isDatabaseFull } from './sqlite/writing-database.ts'
import { type Refusal, Refused, refuse } from './types.ts'

export class Guard {
  readonly #log: WriterHost['log']
  readonly #underWay = new Set<Promise<unknown>>()
  #isClosed = false

  constructor(log: WriterHost['log']) {
    this.#log = log
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  run<T>(work: () => Promise<T>): Promise<T | Refusal> {
    if (this.#isClosed) return Promise.resolve(refuse('cut', 'The cache is shutting down'))
    const running = work().catch((error: unknown): Refusal => {
      if (error instanceof Refused) return error.refusal
      if (isDatabaseFull(error) || isDiskFull(error)) {
        this.#log('error', { err: error }, 'depot disk is full: pushes are refused')
        return refuse('no-room', 'The disk of this cache is full. Ask its administrator to free space')
      }
      this.#log('error', { err: error }, 'depot operation failed')
      return refuse('unavailable', 'This cache cannot store anything at the moment; see its log')
    })
    this.#underWay.add(running)
    return running.finally(() => this.#underWay.delete(running))
  }

  /** Refuses further operations and waits for those under way. */
  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.allSettled(this.#underWay)
  }
}
