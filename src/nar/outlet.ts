/**
 * Output of a job for one reader. Bytes go to slots, and each reader may hold only a limited number of slots. This is
 * the back-pressure: a reader that does not consume its chunks stops only its own job. More readers get smaller shares,
 * so memory stays bounded. When even that is exhausted, each reader gets one small private copy at a time, so that a
 * thousand stalled readers never block new ones.
 */

import { largestSlot, type Slots, smallestSlot } from '../disk/slots.ts'
import type { Outbox } from './outbox.ts'

/**
 * Slot size and slots per reader, by number of readers. Two slots are the minimum for packing and sending to overlap.
 */
const shares = [
  { readers: 4, slotBytes: largestSlot, slots: 4 },
  { readers: 32, slotBytes: 256 * 1024, slots: 2 },
  { readers: 128, slotBytes: 64 * 1024, slots: 2 },
  { readers: 512, slotBytes: 32 * 1024, slots: 2 },
  { readers: Number.POSITIVE_INFINITY, slotBytes: smallestSlot, slots: 2 },
] as const

/** All outlets of a packer, and the memory that they share. */
export class Outlets {
  readonly outbox: Outbox
  readonly slots: Slots
  readonly #memory: SharedArrayBuffer
  readonly #ownerOf = new Map<number, Outlet>()
  open = 0

  constructor(memory: SharedArrayBuffer, slots: Slots, outbox: Outbox) {
    this.#memory = memory
    this.slots = slots
    this.outbox = outbox
  }

  get share(): { readonly slotBytes: number; readonly slots: number } {
    return shares.find(({ readers }) => this.open <= readers)!
  }

  take(outlet: Outlet, bytes: number): { readonly at: number; readonly room: Buffer } {
    const at = this.slots.take(bytes)
    // Copies are identified by offsets beyond the shared memory: at most one per job.
    const name = at ?? this.#memory.byteLength + outlet.job
    this.#ownerOf.set(name, outlet)
    const room =
      at === undefined
        ? Buffer.from(new ArrayBuffer(smallestSlot))
        : Buffer.from(this.#memory, at, this.slots.sizeOf(at))
    return { at: name, room }
  }

  isCopy(at: number): boolean {
    return at >= this.#memory.byteLength
  }

  give(at: number): void {
    const owner = this.#ownerOf.get(at)
    this.#ownerOf.delete(at)
    if (!this.isCopy(at)) this.slots.give(at)
    owner?.released(at)
  }
}

export class Outlet {
  readonly job: number
  readonly #outlets: Outlets
  readonly #wake: () => void
  #slot: { readonly at: number; readonly room: Buffer } | undefined
  #used = 0
  #begun = 0
  #held = 0
  #holdsCopy = false
  #isClosed = false

  /** @param wake called when a slot was returned */
  constructor(outlets: Outlets, job: number, wake: () => void) {
    this.#outlets = outlets
    this.job = job
    this.#wake = wake
    outlets.open++
  }

  /** Returns space for up to `wanted` bytes, or undefined while the reader holds its whole share. */
  room(wanted: number): Buffer | undefined {
    if (!this.#slot) {
      const { slotBytes, slots } = this.#outlets.share
      if (this.#held >= slots || this.#holdsCopy) return undefined
      this.#slot = this.#outlets.take(this, Math.min(slotBytes, wanted))
      this.#used = 0
      this.#begun = performance.now()
      this.#held++
      this.#holdsCopy = this.#outlets.isCopy(this.#slot.at)
    }
    return this.#slot.room.subarray(this.#used)
  }

  /** Marks bytes as filled. Sends a full slot, and the last one. */
  filled(bytes: number, isLast: boolean): void {
    this.#used += bytes
    if (isLast || this.#used === this.#slot?.room.length) this.#send(isLast)
  }

  /** Sends pending bytes if it is worth a message: enough bytes, or old ones. */
  offer(): void {
    if (this.#slot && (this.#used >= worthSendingBytes || performance.now() - this.#begun > worthSendingAfterMs))
      this.#send(false)
  }

  /** Sends pending bytes, if any, and the end. */
  end(): void {
    if (this.#slot) this.#send(true)
    else this.#outlets.outbox.add({ kind: 'end', job: this.job })
  }

  /** Returns unsent memory. Slots that were sent belong to the reader until it frees them. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#outlets.open--
    if (this.#slot) this.#outlets.give(this.#slot.at)
    this.#slot = undefined
  }

  released(at: number): void {
    this.#held--
    if (this.#outlets.isCopy(at)) this.#holdsCopy = false
    if (!this.#isClosed) this.#wake()
  }

  #send(isLast: boolean): void {
    const { at, room } = this.#slot!
    const { outbox } = this.#outlets
    this.#slot = undefined
    const chunk = { kind: 'chunk', job: this.job, at, length: this.#used, isLast } as const
    if (this.#outlets.isCopy(at)) outbox.add({ ...chunk, bytes: room }, room.buffer as ArrayBuffer)
    else outbox.add(chunk)
  }
}

const worthSendingBytes = 64 * 1024
const worthSendingAfterMs = 20
