/**
 * The forms of a NAR as HTTP sees them: uncompressed from the store, compressed from the larder, compressed as in other times. Each has an entity tag, perhaps a
 * known size, and a way to be opened.
 */
import type { ChunkReader } from '../chunks.ts'
import { Fault } from '../faults.ts'
import type { Larder } from '../larder/larder.ts'
import type { ByteRange, CompressedNar, NarRequest, Packer } from '../nar/packer.ts'
import type { PathInfo } from '../nix/path-info.ts'
import { type Origin, withdrawIfCondemned } from './origin.ts'
import type { NarTarget } from './target.ts'

export interface Representation {
  readonly etag: string
  /** Bytes; undefined while a compression has not come to its end. */
  readonly size: number | undefined
  readonly isResumable: boolean
  /** Waits until the size is known; only called while it is not. */
  settle(): Promise<number>
  open(range: ByteRange | undefined): Promise<{ readonly size: number | undefined; readonly chunks: ChunkReader }>
}

export function representationOf(origin: Origin, target: NarTarget, info: PathInfo): Representation {
  const { store, packer, larder } = origin
  const nar: NarRequest = { realPath: store.realPathOf(info.storePath), narHash: info.narHash, narSize: info.narSize }
  const etag = etagOf(target)
  if (target.recipe === undefined) return uncompressed(packer, nar, etag)
  if (larder !== undefined && target.recipe === larder.recipe) return fromLarder(origin, larder, nar, info, etag)
  const kept = larder?.findKept(nar.narHash, target.recipe)
  if (larder !== undefined && kept !== undefined) return ofOtherTimes(larder, nar.narHash, target.recipe, kept.fileSize, etag)
  return foreign(packer, nar, target.recipe)
}

function uncompressed(packer: Packer, nar: NarRequest, etag: string): Representation {
  return {
    etag,
    size: nar.narSize,
    isResumable: true,
    settle: async () => nar.narSize,
    open: async (range) => ({ size: nar.narSize, chunks: packer.openNar(nar, range) }),
  }
}

function fromLarder(origin: Origin, larder: Larder, nar: NarRequest, info: PathInfo, etag: string): Representation {
  return {
    etag,
    size: larder.find(nar.narHash)?.fileSize,
    isResumable: true,
    settle: async () => (await settleLeased(origin, larder, nar, info)).fileSize,
    async open(range) {
      if (range !== undefined) return { size: undefined, chunks: await larder.openRange(nar, range) }
      const opened = await larder.open(nar)
      if (opened.size === undefined) settleLeased(origin, larder, nar, info).catch(() => {})
      return opened
    },
  }
}

/** A client remembers a narinfo of other times, and the file it names is still kept. */
function ofOtherTimes(larder: Larder, narHash: string, recipe: string, size: number, etag: string): Representation {
  return {
    etag,
    size,
    isResumable: true,
    settle: async () => size,
    async open(range) {
      const opened = await larder.openKept(narHash, recipe, range)
      if (opened === undefined) throw new Fault('busy', 'The file of an older recipe was evicted as it was asked for')
      return opened
    },
  }
}

/**
 * A client remembers a narinfo of other times: another level, another zstd, or compression since switched off. It gets the NAR compressed as it expects, but made
 * for it alone and not to be resumed, since the bytes are not those it would splice them to.
 */
function foreign(packer: Packer, nar: NarRequest, recipe: string): Representation {
  const level = Math.min(19, Math.max(1, Number(/^zstd-(\d{1,2})/.exec(recipe)?.[1] ?? 3)))
  return {
    etag: `"${nar.narHash.slice('sha256:'.length)}.${recipe}.once"`,
    size: undefined,
    isResumable: false,
    settle: () => Promise.reject(new Fault('busy', 'The size of a NAR compressed for one client is not known')),
    open: async () => ({ size: undefined, chunks: packer.openCompressedNar(nar, level) }),
  }
}

/** A compression goes on when its first client leaves, and so must the lease, and so must what follows if the files turn out wrong. */
async function settleLeased(origin: Origin, larder: Larder, nar: NarRequest, info: PathInfo): Promise<CompressedNar> {
  const settling = larder.settle(nar)
  settling.catch(() => {})
  const letGo = await origin.store.leases.hold(info.storePath)
  try {
    return await settling
  } catch (error) {
    withdrawIfCondemned(origin, info, error)
    throw error
  } finally {
    letGo()
  }
}

export function etagOf({ narHash, recipe }: NarTarget): string {
  return recipe === undefined ? `"${narHash}"` : `"${narHash}.${recipe}"`
}
