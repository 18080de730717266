/**
 * Where a job puts the bytes for one reader: into slots, of which the reader may hold only so many at once. That is the back-pressure: a reader that does
 * not take its chunks stops its job and nothing else. The more readers there are, the smaller their share, so that memory stays bounded;
 * when even that is exhausted each reader gets one small private copy at a time, so that a thousand stuck readers never lock out the next.
 */

import { largestSlot, type Slots, smallestSlot } from '../disk/slots.ts'
import type { Outbox } from './outbox.ts'

/** Slot size and number of slots for one reader when there are up to so many. Two are the least at which packing and sending overlap. */
const shares = [
  { readers: 4, slotBytes: largestSlot, slots: 4 },
  { readers: 32, slotBytes: 256 * 1024, slots: 2 },
  { readers: 128, slotBytes: 64 * 1024, slots: 2 },
  { readers: 512, slotBytes: 32 * 1024, slots: 2 },
  { readers: Number.POSITIVE_INFINITY, slotBytes: smallestSlot, slots: 2 },
] as const

/** All the outlets of a packer and the memory they share. */
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
    // Copies are named by addresses behind the end of the shared memory: at most one for each job.
    const name = at ?? this.#memory.byteLength + outlet.job
    this.#ownerOf.set(name, outlet)
    const room = at === undefined ? Buffer.from(new ArrayBuffer(smallestSlot)) : Buffer.from(this.#memory, at, this.slots.sizeOf(at))
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

  /** @param wake called when a slot came back */
  constructor(outlets: Outlets, job: number, wake: () => void) {
    this.#outlets = outlets
    this.job = job
    this.#wake = wake
    outlets.open++
  }

  /** Room for the next bytes, up to `wanted`; undefined while the reader holds its whole share. */
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

  /** So many bytes of the room are filled now. A full slot is sent, and so is the last. */
  filled(bytes: number, isLast: boolean): void {
    this.#used += bytes
    if (isLast || this.#used === this.#slot?.room.length) this.#send(isLast)
  }

  /** Sends what is there if it is worth a message: enough, or old. */
  offer(): void {
    if (this.#slot && (this.#used >= worthSendingBytes || performance.now() - this.#begun > worthSendingAfterMs)) this.#send(false)
  }

  /** Sends what is there, if anything, and the end. */
  end(): void {
    if (this.#slot) this.#send(true)
    else this.#outlets.outbox.add({ kind: 'end', job: this.job })
  }

  /** Gives back what was not sent; what was sent stays the reader's until it is freed. */
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
