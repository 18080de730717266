/** One reading of a kept file in the background, and what came of it, for all who wait for it. */
import { Changes, type Outcome } from '../disk/file-source.ts'

export class Check {
  readonly changes = new Changes()
  outcome: Outcome | undefined
  readonly #ended = Promise.withResolvers<Outcome>()

  get ended(): Promise<Outcome> {
    return this.#ended.promise
  }

  end(outcome: Outcome): void {
    this.outcome ??= outcome
    this.#ended.resolve(this.outcome)
    this.changes.announce()
  }
}
