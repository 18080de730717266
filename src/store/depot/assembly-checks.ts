/**
 * Checks assemblies while their parts arrive: a follower appends each part that is next, and hashes the NAR. A NAR that
 * is whole goes on the shelf; one that is wrong is refused, and the pusher gets the reason with the next commit.
 */
import { join } from 'node:path'

import type { Disk } from '../../disk/disk.ts'
import { Semaphore } from '../../nar/semaphore.ts'
import type { Compression } from '../../nix/nar-info.ts'
import type { DecoderOptions } from './decoder.ts'
import { Follower } from './follower.ts'
import type { AssemblyRecord } from './sqlite/queries.ts'
import type { NarFile, Records } from './sqlite/records.ts'
import { type Pusher, type Refusal, Refused } from './types.ts'

export interface CheckParts {
  readonly dir: string
  readonly disk: Disk
  readonly records: Records
  readonly now: () => number
  readonly decoding: DecoderOptions
  /** Puts the finished file on the shelf; `alsoWrite` runs in the same transaction. */
  readonly shelve: (
    file: NarFile & { readonly compression: Compression },
    localFile: string,
    who: Pusher,
    alsoWrite: () => void,
  ) => Promise<boolean>
  readonly log: (error: unknown, message: string) => void
  /** Ends assemblies by their number, with their files. */
  readonly drop: (ids: readonly number[]) => Promise<void>
}

/** Followers hold a decompressor each. */
const maxFollowers = 16
const followersAtOnce = 2
const maxFailures = 1000

interface Following {
  readonly follower: Follower
  readonly who: Pusher
  running: Promise<void> | undefined
  isAskedAgain: boolean
}

export class AssemblyChecks {
  readonly #parts: CheckParts
  readonly #turns = new Semaphore(followersAtOnce)
  readonly #following = new Map<number, Following>()
  /** The last failures, by user and NAR, reported at the next commit. */
  readonly #failures = new Map<string, Refusal>()

  constructor(parts: CheckParts) {
    this.#parts = parts
  }

  /**
   * Begins to check what waits of this assembly, or checks once more when the check under way has ended.
   */
  request(assembly: AssemblyRecord, who: Pusher): void {
    const { dir, disk, records, decoding } = this.#parts
    let following = this.#following.get(assembly.id)
    if (following === undefined) {
      const follower = new Follower(assembly, join(dir, 'part', String(assembly.id)), disk, records, decoding)
      following = { follower, who, running: undefined, isAskedAgain: false }
      this.#following.set(assembly.id, following)
      this.#forgetIdle()
    }
    if (following.running !== undefined) {
      following.isAskedAgain = true
      return
    }
    const current = following
    current.running = this.#turns
      .run(async () => {
        do {
          current.isAskedAgain = false
          await this.#advance(assembly, current)
        } while (current.isAskedAgain && this.#following.get(assembly.id) === current)
      })
      .finally(() => {
        current.running = undefined
      })
  }

  /** Resolves when the check of this assembly has ended; undefined when none is under way. */
  running(id: number): Promise<void> | undefined {
    return this.#following.get(id)?.running
  }

  /** Why the last upload of this NAR by this user was refused. Returned once. */
  takeFailure(user: string, narHash: string): Refusal | undefined {
    const failure = this.#failures.get(`${user} ${narHash}`)
    this.#failures.delete(`${user} ${narHash}`)
    return failure
  }

  /** Frees what the check of an assembly holds. */
  async end(id: number): Promise<void> {
    const following = this.#following.get(id)
    this.#following.delete(id)
    await following?.follower.close()
  }

  async close(): Promise<void> {
    for (const following of this.#following.values()) {
      following.isAskedAgain = false
      await following.running
      await following.follower.close()
    }
    this.#following.clear()
  }

  /** The state of one that waits for its next part can be made again by reading. */
  #forgetIdle(): void {
    for (const [id, { follower, running }] of this.#following) {
      if (this.#following.size <= maxFollowers) return
      if (running !== undefined) continue
      this.#following.delete(id)
      void follower.close()
    }
  }

  async #advance(assembly: AssemblyRecord, { follower, who }: Following): Promise<void> {
    const { records, now, log, shelve, drop } = this.#parts
    const { id, narHash, user } = assembly
    try {
      if (records.findAssemblyById(id) === undefined) return await this.end(id)
      const file = await follower.advance()
      if (file === undefined) return
      await shelve(file, follower.grownFile, who, () => records.removeAssembly(id))
      await drop([id])
      await drop(records.assembliesOfNar(narHash))
    } catch (error) {
      await this.end(id)
      // Ended meanwhile, since the NAR came by another way.
      if (records.findAssemblyById(id) === undefined) return
      if (!(error instanceof Refused))
        return log(error, 'cannot check an upload in parts; retrying when its next part arrives')
      this.#failures.set(`${user} ${narHash}`, error.refusal)
      if (this.#failures.size > maxFailures) this.#failures.delete(this.#failures.keys().next().value!)
      await records.transaction(() => records.addEvent('refuse', who, now(), { narHash, detail: 'nar-mismatch' }))
      await drop([id])
    }
  }
}
