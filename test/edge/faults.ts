/** What goes wrong at the edge on demand. Everything may be changed while it runs, and counts for what comes after. */
import type { Refusal } from './registration.ts'

export class Faults {
  /** The 403 page of a managed challenge for every eyeball. */
  isChallenging = false
  /** The edge does not close after an unregistration, so that the connector waits its whole grace period. */
  keepConnectionsOnUnregister = false
  #refusal: Refusal | 'silence' | undefined
  #refusalsLeft = 0
  #bytesBeforeDrop: number | undefined
  #dropsLeft = 0

  /** `undefined` accepts again. */
  refuseRegistration(refusal: Refusal | 'silence' | undefined, times = Number.POSITIVE_INFINITY): void {
    this.#refusal = refusal
    this.#refusalsLeft = times
  }

  registrationVerdict(): Refusal | 'silence' | undefined {
    if (this.#refusal === undefined || this.#refusalsLeft <= 0) return undefined
    this.#refusalsLeft--
    return this.#refusal
  }

  dropAfterBytes(bytes: number | undefined, times: number): void {
    this.#bytesBeforeDrop = bytes
    this.#dropsLeft = times
  }

  /** How many bytes of `passed` + `next` still pass before the cut; `undefined` for no cut. Counts the drop. */
  cutWithin(passed: number, next: number): number | undefined {
    if (this.#bytesBeforeDrop === undefined || this.#dropsLeft <= 0 || passed + next < this.#bytesBeforeDrop)
      return undefined
    this.#dropsLeft--
    return Math.max(0, this.#bytesBeforeDrop - passed)
  }
}
