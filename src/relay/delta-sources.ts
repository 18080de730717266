/** NARs made from what this machine has and a delta of the far end. */
import { withCallbackOnClose } from '../chunk-readers.ts'
import type { Chunk, ChunkReader } from '../chunks.ts'
import { decodeDelta } from '../delta/decode.ts'
import { TreeFiles } from '../delta/tree-files.ts'
import { maxDeltaShare } from '../delta/worth.ts'
import { Fault } from '../faults.ts'
import { NarParts, PartsHash } from '../nar/nar-parts.ts'
import type { NarInfo } from '../nix/nar-info.ts'
import type { StoreObject } from '../store/store.ts'
import type { KnownPath } from './narinfos.ts'
import type { Base } from './protocol.ts'
import type { NarSource } from './verified-nar.ts'

export interface DeltaSourcesOptions {
  /** A store object of this machine. */
  readonly findLocal: (hashPart: string) => StoreObject | undefined
  readonly download: (url: string) => ChunkReader
  /** What the line carried lately, in bytes a second; undefined if that is not known. */
  readonly bytesPerSecond: () => number | undefined
}

export interface DeltaSource extends NarSource {
  readonly kind: 'delta'
  readonly base: Base
  /** Of the delta, so far. */
  readonly receivedBytes: number
}

/** The far end takes up to two seconds to make one: that must pay. */
const worthWaitingSeconds = 3
const worthWaitingBytes = 1024 * 1024
const maxCondemned = 1000
const partBytes = 4 * 1024 * 1024

export class DeltaSources {
  readonly #options: DeltaSourcesOptions
  /** Bases that gave a wrong NAR, or could not be read, by hash part. */
  readonly #condemned = new Set<string>()

  constructor(options: DeltaSourcesOptions) {
    this.#options = options
  }

  /** Undefined if there is no base here, or a delta does not pay. */
  find({ narInfo, bases }: KnownPath): DeltaSource | undefined {
    for (const base of bases) {
      if (this.#condemned.has(base.hashPart) || !this.#isWorthTrying(narInfo, base)) continue
      const local = this.#options.findLocal(base.hashPart)
      if (local?.info.narHash === base.narHash && local.form.kind === 'tree')
        return this.#create(narInfo, base, local, local.form.realPath)
    }
    return undefined
  }

  /** A failed delta: unless the far end just has none, its base is not used again. */
  failed({ base }: DeltaSource, fault: unknown): void {
    if (!(fault instanceof Fault) || fault.code === 'absent' || fault.code === 'busy' || fault.code === 'abandoned')
      return
    if (this.#condemned.size >= maxCondemned) this.#condemned.clear()
    this.#condemned.add(base.hashPart)
  }

  #isWorthTrying(narInfo: NarInfo, { deltaSize }: Base): boolean {
    const wholeSize = wholeSizeOf(narInfo)
    if (deltaSize !== undefined) return deltaSize < wholeSize * maxDeltaShare
    const speed = this.#options.bytesPerSecond()
    return speed === undefined ? wholeSize >= worthWaitingBytes : wholeSize / speed >= worthWaitingSeconds
  }

  #create({ narHash, narSize }: NarInfo, base: Base, local: StoreObject, realPath: string): DeltaSource {
    const { download } = this.#options
    let receivedBytes = 0
    return {
      kind: 'delta',
      base,
      get receivedBytes() {
        return receivedBytes
      },
      async open() {
        // It must not be collected while it is read.
        const release = await local.store.leases.hold(local.info.storePath)
        await requireIntact(local, realPath).catch((error: unknown) => {
          release()
          throw error
        })
        const delta = counted(download(base.url), (bytes) => (receivedBytes += bytes))
        const expected = { baseNarHash: base.narHash, baseNarSize: local.info.narSize, narHash, narSize }
        return withCallbackOnClose(decodeDelta(delta, new TreeFiles(realPath), expected), release)
      },
    }
  }
}

/**
 * The whole base is read first: Nix gets the NAR while it is made, and a wrong byte could not be taken back. What Nix
 * has of a transfer that was cut, it keeps.
 */
async function requireIntact({ info: { storePath, narHash, narSize } }: StoreObject, realPath: string): Promise<void> {
  const parts = await NarParts.open(realPath, partBytes)
  const hash = new PartsHash()
  if (parts.narSize === narSize) for (let index = 0; index < parts.count; index++) hash.add(await parts.read(index))
  if (hash.digest() === narHash) return
  throw new Fault('delta-unusable', `"${storePath}" is damaged: run "nix-store --repair-path ${storePath}"`)
}

/** Of the compressed NAR, as far as it is known. */
export function wholeSizeOf({ fileSize, narSize }: NarInfo): number {
  return fileSize ?? Math.round(narSize * 0.35)
}

function counted(reader: ChunkReader, count: (bytes: number) => void): ChunkReader {
  return {
    async next(): Promise<Chunk | undefined> {
      const chunk = await reader.next()
      if (chunk !== undefined) count(chunk.bytes.byteLength)
      return chunk
    },
    close: () => reader.close(),
  }
}
