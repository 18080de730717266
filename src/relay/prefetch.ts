/**
 * Fetches small NARs before Nix asks for them: Nix downloads a few at a time, and each would cost a round trip. What Nix
 * asked the narinfo of, and does not have, it is about to download. Memory is bounded; what is not taken expires.
 */
import type { ChunkReader } from '../chunks.ts'
import { Fault } from '../faults.ts'
import type { NarInfo } from '../nix/nar-info.ts'

export interface PrefetchOptions {
  /** Opens a stored NAR at the far end. */
  readonly open: (narInfo: NarInfo) => ChunkReader
  /** True if this machine has the path: then Nix only asked for its references. */
  readonly isHere: (storePath: string) => boolean
  /** Milliseconds of a steady clock. */
  readonly now: () => number
}

/** Larger NARs make good use of the line by themselves. */
const maxNarBytes = 512 * 1024
const maxFileBytes = 256 * 1024
const atOnce = 32
/** Of NARs that were fetched and are waiting for Nix, by their expected size. */
const maxWaitingBytes = 32 * 1024 * 1024
const maxWanted = 20_000
const wantedMs = 120_000
const waitingMs = 60_000

interface Wanted {
  readonly narInfo: NarInfo
  readonly sinceMs: number
}

interface Fetched {
  readonly reader: ChunkReader
  readonly bytes: Promise<Buffer | undefined>
  readonly weight: number
}

export class Prefetch implements Disposable {
  readonly #options: PrefetchOptions
  /** By NAR URL, in the order in which Nix asked. */
  readonly #wanted = new Map<string, Wanted>()
  readonly #fetched = new Map<string, Fetched>()
  #underWay = 0
  #weight = 0
  #isStarted = false
  #isClosed = false
  /** NARs that were ready, or on their way, when Nix asked. */
  used = 0

  constructor(options: PrefetchOptions) {
    this.#options = options
  }

  /** Nix asked for this narinfo. Nothing is fetched before it asks for the first NAR. */
  want(narInfo: NarInfo): void {
    if (!isSmall(narInfo) || this.#fetched.has(narInfo.url) || this.#wanted.size >= maxWanted) return
    this.#wanted.delete(narInfo.url)
    this.#wanted.set(narInfo.url, { narInfo, sinceMs: this.#options.now() })
    if (this.#isStarted) this.#fetchMore()
  }

  /** Nix asks for this NAR. Resolves with the stored bytes if they were fetched before; undefined otherwise. */
  async take({ url }: NarInfo): Promise<Buffer | undefined> {
    this.#wanted.delete(url)
    this.#isStarted = true
    const fetched = this.#fetched.get(url)
    this.#fetchMore()
    if (fetched === undefined) return undefined
    const bytes = await fetched.bytes
    this.#release(url, fetched)
    this.#fetchMore()
    if (bytes !== undefined) this.used++
    return bytes
  }

  [Symbol.dispose](): void {
    this.#isClosed = true
    this.#wanted.clear()
    for (const [url, fetched] of this.#fetched) this.#release(url, fetched)
  }

  #fetchMore(): void {
    if (this.#isClosed) return
    const { now, isHere } = this.#options
    for (const [url, { narInfo, sinceMs }] of this.#wanted) {
      if (this.#underWay >= atOnce || this.#weight >= maxWaitingBytes) return
      this.#wanted.delete(url)
      if (now() - sinceMs < wantedMs && !isHere(narInfo.storePath)) this.#fetch(narInfo)
    }
    if (this.#wanted.size === 0 && this.#fetched.size === 0) this.#isStarted = false
  }

  #fetch(narInfo: NarInfo): void {
    const reader = this.#options.open(narInfo)
    const weight = narInfo.fileSize ?? narInfo.narSize
    this.#underWay++
    this.#weight += weight
    const bytes = readSmall(reader)
      .catch(() => undefined)
      .finally(() => {
        this.#underWay--
        this.#fetchMore()
      })
    const fetched = { reader, bytes, weight }
    this.#fetched.set(narInfo.url, fetched)
    void bytes.then(() => {
      setTimeout(() => this.#release(narInfo.url, fetched), waitingMs).unref()
    })
  }

  #release(url: string, fetched: Fetched): void {
    if (this.#fetched.get(url) !== fetched) return
    this.#fetched.delete(url)
    this.#weight -= fetched.weight
    fetched.reader.close()
  }
}

function isSmall({ narSize, fileSize = 0 }: NarInfo): boolean {
  return narSize <= maxNarBytes && fileSize <= maxFileBytes
}

async function readSmall(reader: ChunkReader): Promise<Buffer> {
  const pieces: Buffer[] = []
  let size = 0
  for (let chunk = await reader.next(); chunk !== undefined; chunk = await reader.next()) {
    size += chunk.bytes.byteLength
    if (size > 2 * maxNarBytes) throw new Fault('nar-mismatch', 'A small NAR has too many bytes')
    pieces.push(Buffer.from(chunk.bytes))
    chunk.release()
  }
  return Buffer.concat(pieces)
}
