/** Small NARs: read and compressed several at once, and collected in batches that are sent in one request. */
import { PartsHash } from '../nar/nar-parts.ts'
import { batchNarBytes } from '../nar/part-ranges.ts'
import { mapConcurrently } from './concurrent-map.ts'
import { compressFrame } from './frames.ts'
import { openParts, type PushedObject } from './object-parts.ts'
import type { BatchEntry, BatchHeader } from './protocol.ts'
import { PushFault } from './push-fault.ts'

/** One NAR as a batch carries it. */
export interface SmallFrame {
  readonly entry: BatchEntry
  readonly frame: Buffer
}

/** Number of NARs that are read and compressed at the same time. Each has at most 1 MiB. */
const readAhead = 4
/** Reading is synchronous, so the event loop gets a turn at least this often. */
const turnMs = 8
const turn = () => new Promise<void>((resolve) => setImmediate(resolve))
/** Upper bound for an entry in the header of a batch: two numbers, a hash, and the JSON syntax. */
const headerBytesPerEntry = 200
/** The fixed cost of storing a file, as the number of NAR bytes that take the cache the same time. */
const entryCostBytes = 16 * 1024

/**
 * The frames, in the order of the objects. Throws a PushFault `unreadable` if a NAR does not match its record, and the
 * faults nar-changed and nar-unreadable.
 */
export function readFrames(objects: readonly PushedObject[], level: number): AsyncGenerator<SmallFrame> {
  let turnEndsMs = performance.now() + turnMs
  return mapConcurrently(objects, readAhead, async (object) => {
    if (performance.now() > turnEndsMs) {
      await turn()
      turnEndsMs = performance.now() + turnMs
    }
    const { narHash, narSize } = object.info
    const frame = await compressFrame(await readWhole(object), level)
    return { entry: { narHash, narSize, bytes: frame.length }, frame }
  })
}

/** The estimated cost of a small NAR, to balance batches. */
export function costOf({ narSize }: { readonly narSize: number }): number {
  return narSize + entryCostBytes
}

/** NARs that are sent in one request. */
export class Batch {
  readonly #frames: SmallFrame[] = []
  narBytes = 0
  wireBytes = 0
  cost = 0

  get isEmpty(): boolean {
    return this.#frames.length === 0
  }

  /** Upper bound for the size of the body if this frame is added. */
  bytesWith({ frame }: SmallFrame): number {
    return this.wireBytes + frame.length + headerBytesPerEntry * (this.#frames.length + 1)
  }

  add(small: SmallFrame): void {
    this.#frames.push(small)
    this.narBytes += small.entry.narSize
    this.wireBytes += small.frame.length
    this.cost += costOf(small.entry)
  }

  /** A line of JSON, then the frames. */
  toBody(): Buffer {
    const header: BatchHeader = { entries: this.#frames.map(({ entry }) => entry) }
    return Buffer.concat([Buffer.from(`${JSON.stringify(header)}\n`), ...this.#frames.map(({ frame }) => frame)])
  }
}

async function readWhole(object: PushedObject): Promise<Buffer> {
  const { storePath, narHash, narSize } = object.info
  const parts = await openParts(object, batchNarBytes)
  if (parts.narSize !== narSize) throw wrongSize(storePath, parts.narSize, narSize)
  const nar = await parts.read(0)
  const hash = new PartsHash()
  hash.add(nar)
  if (hash.digest() !== narHash) throw wrongHash(storePath)
  return nar
}

export function wrongSize(storePath: string, actual: number, recorded: number): PushFault {
  return changed(storePath, `its NAR has ${actual} bytes, but ${recorded} bytes are recorded for it`)
}

export function wrongHash(storePath: string): PushFault {
  return changed(storePath, 'its NAR does not have the recorded hash')
}

function changed(storePath: string, how: string): PushFault {
  return new PushFault(
    'unreadable',
    `Cannot push "${storePath}": ${how}; run "nix-store --verify-path ${storePath}" and repair it`,
  )
}
