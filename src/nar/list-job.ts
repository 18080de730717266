/** Writes the listing of a store object in time slices. */
import type { LayoutClaim, LayoutMemory } from './layout-memory.ts'
import { encodeListing } from './listing.ts'
import type { Outbox } from './outbox.ts'
import type { Job, StepResult } from './scheduler.ts'

const piecesBetweenLooks = 64

export interface ListJobParts {
  readonly layouts: LayoutMemory
  readonly outbox: Outbox
  readonly job: number
  readonly realPath: string
}

export class ListJob implements Job {
  readonly #parts: ListJobParts
  readonly #over: () => void
  #claim: LayoutClaim | undefined
  #pieces: Generator<string, void> | undefined
  readonly #done: Buffer[] = []
  #isOver = false

  constructor(parts: ListJobParts, over: () => void) {
    this.#parts = parts
    this.#over = over
  }

  turn(deadline: number): StepResult {
    if (this.#isOver) return 'over'
    const { layouts, outbox, job, realPath } = this.#parts
    try {
      if (!this.#pieces) {
        this.#claim ??= layouts.claim(realPath, 'listing')
        const layout = this.#claim.step(deadline)
        if (!layout) return 'again'
        this.#pieces = encodeListing(layout)
      }
      if (!this.#write(this.#pieces, deadline)) return 'again'
      const json = new Uint8Array(Buffer.concat(this.#done))
      outbox.add({ kind: 'listing', job, json }, json.buffer)
    } catch (error) {
      outbox.addFault(job, error)
    }
    this.drop()
    return 'over'
  }

  drop(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#claim?.release()
    this.#over()
  }

  /** Returns true when everything is written. */
  #write(pieces: Generator<string, void>, deadline: number): boolean {
    let text = ''
    let count = 0
    let isOver = false
    while (!isOver && (++count % piecesBetweenLooks !== 0 || performance.now() < deadline)) {
      const piece = pieces.next()
      isOver = piece.done === true
      if (piece.value) text += piece.value
    }
    this.#done.push(Buffer.from(text))
    return isOver
  }
}
