/** The compressions under way: one for each NAR, however many ask. */
import type { NarRequest } from '../nar/contract.ts'
import { CompressionQueue } from './compression-queue.ts'
import { toBareHash } from './file-name.ts'
import { type FillContext, Filling } from './filling.ts'

/** Each compression holds some megabytes in the packer; more of them at once do not end sooner. */
const maxCompressions = 32

export class Fillings {
  readonly #context: FillContext
  /** By bare NAR hash. */
  readonly #fillings = new Map<string, Filling>()
  #started = 0

  constructor(parts: Omit<FillContext, 'queue' | 'onOver'>) {
    this.#context = {
      ...parts,
      queue: new CompressionQueue(maxCompressions),
      onOver: ({ nar }) => void this.#fillings.delete(toBareHash(nar.narHash)),
    }
  }

  get underWay(): number {
    return this.#fillings.size
  }

  /** Since the start. */
  get started(): number {
    return this.#started
  }

  find(narHash: string): Filling | undefined {
    return this.#fillings.get(toBareHash(narHash))
  }

  /** The compression of this NAR, a new one if there is none; undefined when nothing can be kept now. */
  join(nar: NarRequest): Filling | undefined {
    const { room, writability } = this.#context
    const present = this.find(nar.narHash)
    if (present !== undefined) return present
    if (room.maxBytes === 0 || !writability.mayTry) return undefined
    this.#started++
    const filling = new Filling(nar, this.#context)
    this.#fillings.set(toBareHash(nar.narHash), filling)
    return filling
  }

  /** Gives up those under way, and waits until they have ended. */
  async close(): Promise<void> {
    const fillings = [...this.#fillings.values()]
    for (const filling of fillings) filling.abandon()
    await Promise.allSettled(fillings.map(({ settled }) => settled))
  }
}
