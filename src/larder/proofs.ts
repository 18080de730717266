/**
 * Whether a kept file may be sent. Nothing of it goes out before all of it was read once in this process and found
 * right, nor after its stamp has moved since: then it is read again first. What rots without a trace in the stamp is
 * found by whole reads, which are hashed on the way, and by parts, for which all of the file is read in the background,
 * both whenever the last reading was longer ago than `trustMs`.
 */

import type { Outcome } from '../disk/file-source.ts'
import { isSameStamp, isSettled, neverRead } from '../disk/file-stamp.ts'
import type { OpenFile } from '../disk/open-files.ts'
import { Fault } from '../faults.ts'
import type { Check } from './check.ts'
import { Checks } from './checks.ts'
import type { Keeper, Trust } from './kept-source.ts'
import type { KeptFile } from './shelf.ts'

/**
 * Disks rot in months, and a hash for each download of a hot file would cost two fifths of the speed (700 MB/s instead
 * of 1,200 from two busy cores).
 */
const trustMs = 10 * 60_000
/** A file that changes each time it is read is not worth a third reading. */
const maxReadings = 2

export class Proofs implements Keeper {
  readonly drop: (kept: KeptFile, cause: unknown) => Fault
  readonly #checks: Checks
  readonly #steadyNow: () => number

  /** `drop` takes the file out of service and returns the fault for its readers. */
  constructor(drop: (kept: KeptFile, cause: unknown) => Fault, steadyNow: () => number) {
    this.drop = drop
    this.#steadyNow = steadyNow
    this.#checks = new Checks(drop, steadyNow)
  }

  holds({ proof }: KeptFile, file: OpenFile): boolean {
    return proof !== undefined && isSameStamp(proof.stamp, file.stamp())
  }

  /**
   * Reads the file if need be: also when its stamp was taken too soon after its last change, within which another
   * change leaves no trace. Resolves to false when it was bad and was dropped. Rejects with `abandoned` when the larder
   * closes.
   */
  async prove(kept: KeptFile, file: OpenFile): Promise<boolean> {
    for (
      let readings = 0;
      !this.holds(kept, file) || (readings === 0 && kept.proof!.readAtMs === neverRead);
      readings++
    ) {
      if (readings === maxReadings) {
        this.drop(kept, new Error('It changes while it is read'))
        return false
      }
      // A check under way may have passed what was changed since.
      if (this.holds(kept, file)) await kept.check?.ended
      const outcome = await this.#check(kept, file).ended
      if (outcome.kind === 'fault' && !isDamage(outcome.fault)) throw outcome.fault
      if (outcome.kind !== 'whole') return false
    }
    return true
  }

  /** For a file that was proven just now. */
  trustIn(kept: KeptFile, file: OpenFile, isForWhole: boolean): Trust {
    if (this.#steadyNow() - (kept.proof?.readAtMs ?? neverRead) < trustMs) return 'lately'
    return isForWhole ? 'hash' : this.#check(kept, file)
  }

  judge(kept: KeptFile, file: OpenFile, found: string): void {
    if (found !== kept.fileHash) throw this.drop(kept, new Error(`Its bytes hash to ${found}`))
    const stamp = file.stamp()
    if (this.holds(kept, file) && isSettled(stamp)) kept.proof = { stamp, readAtMs: this.#steadyNow() }
  }

  async confirmUnchanged(kept: KeptFile, file: OpenFile): Promise<void> {
    if (!this.holds(kept, file)) await this.confirmRead(kept, file)
  }

  async confirmRead(kept: KeptFile, file: OpenFile): Promise<void> {
    throwFault(await this.#check(kept, file).ended)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#checks[Symbol.asyncDispose]()
  }

  #check(kept: KeptFile, file: OpenFile): Check {
    return this.#checks.start(kept, file)
  }
}

function isDamage(fault: unknown): boolean {
  return fault instanceof Fault && fault.code === 'larder-damaged'
}

function throwFault(outcome: Outcome): void {
  if (outcome.kind === 'fault') throw outcome.fault
}
