/** A listing in progress, as seen from the main thread. */
import type { PackerEvent } from './packer-messages.ts'
import { faultOfEvent, type PackerThread, type Task } from './packer-thread.ts'

export class ListTask implements Task {
  readonly done: Promise<Uint8Array>
  readonly #settle = Promise.withResolvers<Uint8Array>()

  constructor(thread: PackerThread, realPath: string) {
    this.done = this.#settle.promise
    thread.begin(this, (job) => ({ kind: 'list', job, realPath }))
  }

  receive(event: PackerEvent): void {
    if (event.kind === 'fault') this.#settle.reject(faultOfEvent(event))
    else if (event.kind === 'listing') this.#settle.resolve(event.json)
  }

  fail(fault: Error): void {
    this.#settle.reject(fault)
  }
}
