/** Batches events to the main thread: one message per event loop iteration. */
import type { MessagePort, Transferable } from 'node:worker_threads'
import { Fault } from '../faults.ts'
import type { PackerEvent } from './packer-messages.ts'

export class Outbox {
  readonly #port: MessagePort
  #events: PackerEvent[] = []
  #transfers: Transferable[] = []

  constructor(port: MessagePort) {
    this.#port = port
  }

  add(event: PackerEvent, transfer?: ArrayBuffer): void {
    if (this.#events.length === 0) queueMicrotask(() => this.#flush())
    this.#events.push(event)
    if (transfer) this.#transfers.push(transfer)
  }

  addFault(job: number, error: unknown): void {
    if (error instanceof Fault) this.add({ kind: 'fault', job, code: error.code, message: error.message })
    else
      this.add({
        kind: 'fault',
        job,
        code: undefined,
        message: error instanceof Error ? (error.stack ?? error.message) : String(error),
      })
  }

  #flush(): void {
    const events = this.#events
    const transfers = this.#transfers
    this.#events = []
    this.#transfers = []
    this.#port.postMessage(events, transfers)
  }
}
