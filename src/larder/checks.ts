/**
 * Reads kept files in the background and compares them with the hash in their name. One reading serves all who wait for
 * it. The shortest files go first, so that small files do not wait for large ones.
 */
import { createHash } from 'node:crypto'
import type { Outcome } from '../disk/file-source.ts'
import { isSameStamp, isSettled, neverRead } from '../disk/file-stamp.ts'
import type { OpenFile } from '../disk/open-files.ts'
import { Fault } from '../faults.ts'
import { encodeNix32 } from '../nix/nix32.ts'
import { Check } from './check.ts'
import type { KeptFile } from './shelf.ts'

/** One to read while the other's hash is computed. */
const maxRunning = 2
/**
 * A turn of hashing this much takes less than a millisecond even without instructions for it, so that other requests
 * are not held up.
 */
const stepBytes = 256 * 1024

interface Task {
  readonly kept: KeptFile
  readonly file: OpenFile
  readonly check: Check
}

export class Checks {
  readonly #onDamaged: (kept: KeptFile, cause: unknown) => Fault
  readonly #steadyNow: () => number
  readonly #waiting: Task[] = []
  readonly #running = new Set<Promise<void>>()
  #isStopped = false

  /** `onDamaged` takes the file out of service and returns the fault for its readers. */
  constructor(onDamaged: (kept: KeptFile, cause: unknown) => Fault, steadyNow: () => number) {
    this.#onDamaged = onDamaged
    this.#steadyNow = steadyNow
  }

  /** Starts or joins the check of this file. */
  start(kept: KeptFile, file: OpenFile): Check {
    if (kept.check !== undefined) return kept.check
    const check = new Check()
    kept.check = check
    this.#waiting.push({ kept, file: file.retain(), check })
    this.#startNext()
    return check
  }

  /** Aborts every check and waits until all have ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopped = true
    for (const task of this.#waiting.splice(0)) this.#finish(task, stopped())
    await Promise.all(this.#running)
  }

  #startNext(): void {
    if (this.#running.size >= maxRunning || this.#waiting.length === 0) return
    let shortest = 0
    for (let at = 1; at < this.#waiting.length; at++) {
      if (this.#waiting[at]!.kept.fileSize < this.#waiting[shortest]!.kept.fileSize) shortest = at
    }
    const [task] = this.#waiting.splice(shortest, 1)
    const running = this.#run(task!).then(() => {
      this.#running.delete(running)
      this.#startNext()
    })
    this.#running.add(running)
  }

  async #run(task: Task): Promise<void> {
    const { kept, file } = task
    try {
      const before = file.stamp()
      const found = await this.#hash(file, kept.fileSize)
      if (found === undefined) return this.#finish(task, stopped())
      if (found !== kept.fileHash) throw new Error(`Its bytes hash to ${found}`)
      const stamp = file.stamp()
      // The file changed during the check: the result does not apply to its new contents.
      if (isSameStamp(before, stamp)) kept.proof = { stamp, readAtMs: isSettled(stamp) ? this.#steadyNow() : neverRead }
      this.#finish(task, { kind: 'whole', size: kept.fileSize })
    } catch (error) {
      this.#finish(task, { kind: 'fault', fault: this.#onDamaged(kept, error) })
    }
  }

  async #hash(file: OpenFile, size: number): Promise<string | undefined> {
    const hash = createHash('sha256')
    const buffer = Buffer.allocUnsafeSlow(Math.min(stepBytes, size))
    for (let position = 0; position < size; ) {
      if (this.#isStopped) return undefined
      const length = Math.min(buffer.length, size - position)
      if ((await file.read(buffer, length, position)) < length) throw new Error('It is shorter than its name says')
      hash.update(buffer.subarray(0, length))
      position += length
    }
    return encodeNix32(hash.digest())
  }

  #finish({ kept, file, check }: Task, outcome: Outcome): void {
    kept.check = undefined
    file.release()
    check.end(outcome)
  }
}

function stopped(): Outcome {
  return { kind: 'fault', fault: new Fault('abandoned', 'Cannot check a kept file: the larder is closing') }
}
