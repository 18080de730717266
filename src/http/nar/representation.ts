/**
 * The forms of a NAR as HTTP sees them: packed from a tree, compressed from the larder, as it is stored. Each has an
 * entity tag, perhaps a known size, and a way to be opened.
 */
import type { ByteRange, ChunkReader } from '../../chunks.ts'
import { Fault } from '../../faults.ts'
import type { Larder } from '../../larder/larder.ts'
import type { CompressedNar, NarRequest, Packer } from '../../nar/contract.ts'
import type { PathInfo } from '../../nix/path-info.ts'
import type { FileForm, StoreObject } from '../../store/store.ts'
import type { ServedFrom } from '../observer.ts'
import { type Origin, withdrawIfCondemned } from '../origin.ts'
import { fileRecipe, isFileRecipe, type NarTarget } from '../target.ts'
import { deltaFor } from './delta.ts'

export interface OpenedNar {
  readonly size: number | undefined
  readonly chunks: ChunkReader
  readonly servedFrom: ServedFrom
}

export interface Representation {
  readonly etag: string
  /** Bytes; undefined while a compression has not come to its end. */
  readonly size: number | undefined
  readonly isResumable: boolean
  /** Waits until the size is known; only called while it is not. */
  settle(): Promise<number>
  open(range: ByteRange | undefined): Promise<OpenedNar>
}

export function representationOf(origin: Origin, target: NarTarget, object: StoreObject): Representation {
  const { form, info } = object
  const etag = etagOf(target)
  if (target.base !== undefined) return deltaFor(origin, target, object, etag)
  if (form.kind === 'file')
    return servesAsStored(object, target) ? asStored(object, form, etag) : convertedFor(form, info, target)
  const { packer, larder } = origin
  const nar: NarRequest = { realPath: form.realPath, narHash: info.narHash, narSize: info.narSize }
  if (target.recipe === undefined) return uncompressed(packer, nar, etag)
  if (larder !== undefined && target.recipe === larder.recipe) return fromLarder(larder, nar, object, etag)
  const kept = larder?.findKept(nar.narHash, target.recipe)
  if (larder !== undefined && kept !== undefined)
    return keptOfOtherRecipe(larder, nar.narHash, target.recipe, kept.fileSize, etag)
  return compressedOnce(packer, nar, target.recipe)
}

/** True when the object's own form has the very bytes that the target names, so that a client may resume. */
export function fitsTarget(object: StoreObject, target: NarTarget): boolean {
  return (
    object.info.narHash === `sha256:${target.narHash}` &&
    (target.base !== undefined ||
      (object.form.kind === 'tree' ? !isFileRecipe(target.recipe) : servesAsStored(object, target)))
  )
}

function servesAsStored({ form }: StoreObject, { recipe }: NarTarget): boolean {
  if (form.kind !== 'file') return false
  return form.compression === 'none' ? recipe === undefined : recipe === fileRecipe(form.id)
}

/** The adapter verifies what it hands out. */
function asStored({ trust }: StoreObject, form: FileForm, etag: string): Representation {
  const servedFrom = trust === 'as-signed' ? 'upstream' : 'file'
  return {
    etag,
    size: form.fileSize,
    isResumable: true,
    settle: form.settle,
    open: async (range) => ({ size: form.fileSize, chunks: await form.open(range), servedFrom }),
  }
}

/**
 * A client remembers the narinfo that another store gave for the same NAR. It gets what its narinfo says, made for it
 * alone and not to be resumed: the NAR itself, or a file of the same compression.
 */
function convertedFor(form: FileForm, { narHash, narSize }: PathInfo, { recipe }: NarTarget): Representation {
  const isNar = recipe === undefined
  const size = isNar ? narSize : form.fileSize
  return {
    etag: `"${narHash.slice('sha256:'.length)}.${recipe ?? 'nar'}.once"`,
    size,
    isResumable: false,
    settle: async () => size ?? (await form.settle()),
    async open() {
      if (isNar) return { size, chunks: await form.openNar(), servedFrom: 'file' }
      if (form.compression === 'zstd' && !isFileRecipe(recipe))
        return { size, chunks: await form.open(), servedFrom: 'file' }
      throw new Fault('absent', `Only a NAR compressed with ${form.compression} is here, not "${recipe}"`)
    },
  }
}

function uncompressed(packer: Packer, nar: NarRequest, etag: string): Representation {
  return {
    etag,
    size: nar.narSize,
    isResumable: true,
    settle: async () => nar.narSize,
    open: async (range) => ({ size: nar.narSize, chunks: packer.openNar(nar, range), servedFrom: 'tree' }),
  }
}

function fromLarder(larder: Larder, nar: NarRequest, object: StoreObject, etag: string): Representation {
  return {
    etag,
    size: larder.find(nar.narHash)?.fileSize,
    isResumable: true,
    settle: async () => (await settleLeased(larder, nar, object)).fileSize,
    async open(range) {
      const servedFrom = larder.find(nar.narHash) === undefined ? 'fill' : 'larder'
      if (range !== undefined) return { size: undefined, chunks: await larder.openRange(nar, range), servedFrom }
      const opened = { ...(await larder.open(nar)), servedFrom } as const
      if (opened.size === undefined) settleLeased(larder, nar, object).catch(() => {})
      return opened
    },
  }
}

/** A client remembers a narinfo of other times, and the file it names is still kept. */
function keptOfOtherRecipe(
  larder: Larder,
  narHash: string,
  recipe: string,
  size: number,
  etag: string,
): Representation {
  return {
    etag,
    size,
    isResumable: true,
    settle: async () => size,
    async open(range) {
      const opened = await larder.openKept(narHash, recipe, range)
      if (opened === undefined) throw new Fault('busy', 'The file of an older recipe was evicted as it was asked for')
      return { ...opened, servedFrom: 'larder' }
    },
  }
}

/**
 * A client remembers a narinfo of other times: another level, another zstd, or compression since switched off. It gets
 * the NAR compressed as it expects, but made for it alone and not to be resumed, since the bytes are not those it would
 * splice them to.
 */
function compressedOnce(packer: Packer, nar: NarRequest, recipe: string): Representation {
  const level = Math.min(19, Math.max(1, Number(/^zstd-(\d{1,2})/.exec(recipe)?.[1] ?? 3)))
  return {
    etag: `"${nar.narHash.slice('sha256:'.length)}.${recipe}.once"`,
    size: undefined,
    isResumable: false,
    settle: () => Promise.reject(new Fault('busy', 'The size of a NAR compressed for one client is not known')),
    open: async () => ({ size: undefined, chunks: packer.openCompressedNar(nar, level), servedFrom: 'tree' }),
  }
}

/**
 * A compression goes on when its first client leaves, and so must the lease, and so must what follows if the files turn
 * out wrong.
 */
async function settleLeased(larder: Larder, nar: NarRequest, object: StoreObject): Promise<CompressedNar> {
  const settling = larder.settle(nar)
  settling.catch(() => {})
  const letGo = await object.store.leases.hold(object.info.storePath)
  try {
    return await settling
  } catch (error) {
    await withdrawIfCondemned(object, error)
    throw error
  } finally {
    letGo()
  }
}

export function etagOf({ narHash, recipe }: NarTarget): string {
  return recipe === undefined ? `"${narHash}"` : `"${narHash}.${recipe}"`
}
