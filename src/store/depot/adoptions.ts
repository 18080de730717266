/**
 * Copies from the local store, each once at a time, and no call waits for them longer than a reply may take: a copy
 * goes on, and the next push finds it.
 */
import type { PathInfo } from '../../nix/path-info.ts'
import { type NarReceived, type Pusher, Refused } from './types.ts'

export type Adopt = (info: PathInfo, who: Pusher) => Promise<NarReceived>

export class Adoptions {
  readonly #adopt: Adopt
  readonly #running = new Map<string, Promise<NarReceived>>()

  /** `adopt` never rejects. */
  constructor(adopt: Adopt) {
    this.#adopt = adopt
  }

  /** @throws {Refused} busy, when the time is over while a copy is under way */
  async within<T>(waitMs: number, work: (adopt: Adopt) => Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined
    const isOver = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(tooLong()), waitMs)
    })
    // It may come when no copy is waited for.
    isOver.catch(() => {})
    try {
      return await work((info, who) => Promise.race([this.#start(info, who), isOver]))
    } finally {
      clearTimeout(timer)
    }
  }

  #start(info: PathInfo, who: Pusher): Promise<NarReceived> {
    const running =
      this.#running.get(info.narHash) ?? this.#adopt(info, who).finally(() => this.#running.delete(info.narHash))
    this.#running.set(info.narHash, running)
    return running
  }
}

function tooLong(): Refused {
  return new Refused(
    'busy',
    "This cache is still copying what the path refers to from its own machine's store: push again in a minute",
  )
}
