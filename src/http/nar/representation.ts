/**
 * The representations of a NAR in HTTP: packed from a file tree, compressed from the larder, or as it is stored. Each
 * has an entity tag, a way to open it, and a size if it is known.
 */
import { Fault } from '../../faults.ts'
import type { Larder } from '../../larder/larder.ts'
import type { CompressedNar, NarRequest, Packer } from '../../nar/contract.ts'
import type { PathInfo } from '../../nix/path-info.ts'
import type { FileForm, StoreObject } from '../../store/store.ts'
import { type Origin, withdrawIfCondemned } from '../origin.ts'
import { fileRecipe, isFileRecipe, type NarTarget } from '../target.ts'
import { deltaFor } from './delta.ts'
import type { Representation } from './nar-form.ts'

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
    return keptOfOtherRecipe(larder, nar, target.recipe, kept.fileSize, etag)
  return compressedOnce(packer, nar, target.recipe)
}

/** True if the object has exactly the bytes of the target, so that a client can resume a download with them. */
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

/** The store verifies the bytes it returns. */
function asStored({ trust, info }: StoreObject, form: FileForm, etag: string): Representation {
  const servedFrom = trust === 'as-signed' ? 'upstream' : 'file'
  return {
    etag,
    size: form.fileSize,
    isResumable: true,
    insteadOfBytes: form.compression === 'none' ? undefined : info.narSize,
    settle: form.settle,
    open: async (range) => ({ size: form.fileSize, chunks: await form.open(range), servedFrom }),
  }
}

/**
 * For a client with a cached narinfo from another store that had the same NAR. It gets what its narinfo says, converted
 * for this request and not resumable: the NAR itself, or a file with the same compression.
 */
function convertedFor(form: FileForm, { narHash, narSize }: PathInfo, { recipe }: NarTarget): Representation {
  const isNar = recipe === undefined
  const size = isNar ? narSize : form.fileSize
  return {
    etag: `"${narHash.slice('sha256:'.length)}.${recipe ?? 'nar'}.once"`,
    size,
    isResumable: false,
    insteadOfBytes: isNar ? undefined : narSize,
    settle: async () => size ?? (await form.settle()),
    async open() {
      if (isNar) return { size, chunks: await form.openNar(), servedFrom: 'file' }
      if (form.compression === 'zstd' && !isFileRecipe(recipe))
        return { size, chunks: await form.open(), servedFrom: 'file' }
      throw new Fault('absent', `The NAR is stored with compression ${form.compression}, not as "${recipe}"`)
    },
  }
}

function uncompressed(packer: Packer, nar: NarRequest, etag: string): Representation {
  return {
    etag,
    size: nar.narSize,
    isResumable: true,
    insteadOfBytes: undefined,
    settle: async () => nar.narSize,
    open: async (range) => ({ size: nar.narSize, chunks: packer.openNar(nar, range), servedFrom: 'tree' }),
  }
}

function fromLarder(larder: Larder, nar: NarRequest, object: StoreObject, etag: string): Representation {
  return {
    etag,
    size: larder.find(nar.narHash)?.fileSize,
    isResumable: true,
    insteadOfBytes: nar.narSize,
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

/** For a client with an old narinfo, whose file is still in the larder. */
function keptOfOtherRecipe(
  larder: Larder,
  { narHash, narSize }: NarRequest,
  recipe: string,
  size: number,
  etag: string,
): Representation {
  return {
    etag,
    size,
    isResumable: true,
    insteadOfBytes: narSize,
    settle: async () => size,
    async open(range) {
      const opened = await larder.openKept(narHash, recipe, range)
      if (opened === undefined) throw new Fault('busy', 'The file of an older recipe was evicted when it was requested')
      return { ...opened, servedFrom: 'larder' }
    },
  }
}

/**
 * For a client with an old narinfo: another level, another version of zstd, or compression has been switched off since.
 * It gets the NAR with the expected compression, but compressed for this request and not resumable, because the bytes
 * differ from those it may already have.
 */
function compressedOnce(packer: Packer, nar: NarRequest, recipe: string): Representation {
  const level = Math.min(19, Math.max(1, Number(/^zstd-(\d{1,2})/.exec(recipe)?.[1] ?? 3)))
  return {
    etag: `"${nar.narHash.slice('sha256:'.length)}.${recipe}.once"`,
    size: undefined,
    isResumable: false,
    insteadOfBytes: nar.narSize,
    settle: () =>
      Promise.reject(new Fault('busy', 'The size of a NAR that is compressed for one request is not known')),
    open: async () => ({ size: undefined, chunks: packer.openCompressedNar(nar, level), servedFrom: 'tree' }),
  }
}

/**
 * A compression continues when the client that started it disconnects. So must the lease, and so must the withdrawal if
 * the files turn out to be wrong.
 */
async function settleLeased(larder: Larder, nar: NarRequest, object: StoreObject): Promise<CompressedNar> {
  const settling = larder.settle(nar)
  settling.catch(() => {})
  const release = await object.store.leases.hold(object.info.storePath)
  try {
    return await settling
  } catch (error) {
    await withdrawIfCondemned(object, error)
    throw error
  } finally {
    release()
  }
}

export function etagOf({ narHash, recipe }: NarTarget): string {
  return recipe === undefined ? `"${narHash}"` : `"${narHash}.${recipe}"`
}
