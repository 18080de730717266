/** NARs that were found damaged while they were read: out of service at once, and marked in the database by the writer. */
import type { Fault } from '../../faults.ts'
import type { Log } from '../../log.ts'
import type { WriterLink } from './writer-messages.ts'

export class WithdrawnNars {
  readonly #writer: WriterLink
  readonly #log: Log
  /** Those whose mark is not yet in the database, with the number of marks under way. */
  readonly #unmarked = new Map<string, number>()
  #total = 0

  constructor(writer: WriterLink, log: Log) {
    this.#writer = writer
    this.#log = log
  }

  /** Since the start. Only grows. */
  get total(): number {
    return this.#total
  }

  covers(narHash: string): boolean {
    return this.#unmarked.has(narHash)
  }

  withdraw(narHash: string, fault: Fault): void {
    this.#total++
    this.#unmarked.set(narHash, (this.#unmarked.get(narHash) ?? 0) + 1)
    this.#log.error(
      { narHash, code: fault.code, err: fault },
      'a NAR of the depot is damaged: its paths are out of service until it is pushed again',
    )
    void this.#writer
      .call('markDamaged', { narHash, reason: String(fault.cause ?? fault.message) })
      .catch((error: unknown) =>
        this.#log.error({ narHash, err: error }, 'cannot record that a NAR of the depot is damaged'),
      )
      .then(() => {
        const left = this.#unmarked.get(narHash)! - 1
        if (left === 0) this.#unmarked.delete(narHash)
        else this.#unmarked.set(narHash, left)
      })
  }
}
