/** A compression into a file, as seen from the main thread. */
import { unlink } from 'node:fs'
import { Fault } from '../faults.ts'
import type { Fill, FilledNar, NarRequest } from './contract.ts'
import type { PackerEvent } from './packer-messages.ts'
import { faultOfEvent, type JobHandle, type PackerThread, type Task } from './packer-thread.ts'

export class FillTask implements Fill, Task {
  readonly done: Promise<FilledNar>
  readonly #tempFile: string
  readonly #handle: JobHandle | undefined
  readonly #listeners = new Set<() => void>()
  readonly #settle = Promise.withResolvers<FilledNar>()
  #written = 0
  #isAbandoned = false

  constructor(thread: PackerThread, nar: NarRequest, level: number, tempFile: string) {
    this.#tempFile = tempFile
    this.done = this.#settle.promise
    // Callers that only watch the progress need not handle the rejection.
    this.done.catch(() => {})
    this.#handle = thread.begin(this, (job) => ({ kind: 'fill', job, nar, level, tempFile }))
  }

  get written(): number {
    return this.#written
  }

  onProgress(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  abandon(): void {
    if (this.#isAbandoned) return
    this.#isAbandoned = true
    this.#handle?.drop(false)
  }

  receive(event: PackerEvent): void {
    if (event.kind === 'progress') this.#written = event.written
    else if (event.kind === 'fault') this.#settle.reject(faultOfEvent(event))
    else if (event.kind === 'filled') this.#filled(event.result)
    for (const listener of [...this.#listeners]) listener()
  }

  /** The thread has ended or is ending, and may have left the file behind. */
  fail(fault: Error): void {
    if (this.#handle) this.#removeFile(fault)
    else this.#settle.reject(fault)
    for (const listener of [...this.#listeners]) listener()
  }

  #filled(result: FilledNar): void {
    const abandoned = new Fault('abandoned', 'The compression was aborted')
    if (!this.#isAbandoned) this.#settle.resolve(result)
    else if (result.wasWritten) this.#removeFile(abandoned)
    else this.#settle.reject(abandoned)
  }

  #removeFile(fault: Error): void {
    unlink(this.#tempFile, () => this.#settle.reject(fault))
  }
}
