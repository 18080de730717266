/** A body between two threads: the sender stays within a window of what the receiver has taken. */
import { windowBytes } from './writer-messages.ts'

/** Sends a body in chunks of its own memory. */
export class BodySender {
  readonly #send: (bytes: Uint8Array) => void
  #outstanding = 0
  #isDropped = false
  #wake: (() => void) | undefined

  constructor(send: (bytes: Uint8Array) => void) {
    this.#send = send
  }

  taken(bytes: number): void {
    this.#outstanding -= bytes
    this.#wake?.()
  }

  drop(): void {
    this.#isDropped = true
    this.#wake?.()
  }

  /** Resolves when all was sent, or the rest is not wanted. Rejects when the body does. */
  async pump(body: AsyncIterable<Uint8Array>): Promise<void> {
    for await (const chunk of body) {
      while (this.#outstanding >= windowBytes && !this.#isDropped)
        await new Promise<void>((resolve) => (this.#wake = resolve))
      if (this.#isDropped) return
      if (chunk.length === 0) continue
      this.#outstanding += chunk.length
      // A copy: the chunk may be part of a buffer that others share.
      this.#send(Uint8Array.prototype.slice.call(chunk))
    }
  }
}

/** The other end: an iterable that is read once. */
export class BodyReceiver implements AsyncIterable<Uint8Array> {
  readonly #chunks: Uint8Array[] = []
  readonly #onTaken: (bytes: number) => void
  readonly #onDrop: () => void
  #end: { readonly problem: string | undefined } | undefined
  #wake: (() => void) | undefined

  constructor(onTaken: (bytes: number) => void, onDrop: () => void) {
    this.#onTaken = onTaken
    this.#onDrop = onDrop
  }

  push(bytes: Uint8Array): void {
    this.#chunks.push(bytes)
    this.#wake?.()
  }

  end(problem: string | undefined): void {
    this.#end ??= { problem }
    this.#wake?.()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        const chunk = this.#chunks.shift()
        if (chunk !== undefined) {
          yield chunk
          this.#onTaken(chunk.length)
        } else if (this.#end !== undefined) {
          if (this.#end.problem !== undefined) throw new Error(this.#end.problem)
          return
        } else await new Promise<void>((resolve) => (this.#wake = resolve))
      }
    } finally {
      this.#chunks.length = 0
      this.#onDrop()
    }
  }
}
