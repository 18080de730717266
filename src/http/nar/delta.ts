/**
 * A NAR as a delta, for a relay that has the base. It is served once the larder has it; one that is not ready soon, or
 * not worth making, is a 404, and the relay takes the compressed NAR.
 */
import type { DeltaEnd } from '../../delta/maker/contract.ts'
import { Fault } from '../../faults.ts'
import type { CompressedNar } from '../../nar/contract.ts'
import type { StoreObject } from '../../store/store.ts'
import { type Origin, withdrawIfCondemned } from '../origin.ts'
import type { NarTarget } from '../target.ts'
import type { Representation } from './nar-form.ts'

/** A relay waits no longer; the delta is made all the same, for the next one. */
const patienceMs = 2_000

export function deltaFor(origin: Origin, target: NarTarget, object: StoreObject, etag: string): Representation {
  const { larder } = origin
  const recipe = target.recipe!
  const { narHash } = object.info
  const ready = async (): Promise<CompressedNar> => {
    const kept = larder?.findKept(narHash, recipe) ?? (await within(origin, keep(origin, target, object)))
    if (kept === undefined) throw new Fault('absent', 'There is no such delta, or not yet')
    return kept
  }
  return {
    etag,
    size: larder?.findKept(narHash, recipe)?.fileSize,
    isResumable: true,
    insteadOfBytes: larder?.find(narHash)?.fileSize,
    settle: async () => (await ready()).fileSize,
    async open(range) {
      await ready()
      const opened = await larder!.openKept(narHash, recipe, range)
      if (opened === undefined) throw new Fault('absent', 'The delta was evicted as it was asked for')
      return { ...opened, servedFrom: 'delta' }
    },
  }
}

/** Holds leases on both objects until the delta is made, even if the client has left. */
async function keep(
  { larder, catalogue }: Origin,
  target: NarTarget,
  object: StoreObject,
): Promise<CompressedNar | undefined> {
  const { hashPart, narHash } = target.base!
  const base = await catalogue.findObject(hashPart, ({ info }) => info.narHash === `sha256:${narHash}`)
  if (larder === undefined || base === undefined || larder.deltaRecipe(base.info.narHash) !== target.recipe)
    return undefined
  const releases = await Promise.all([object, base].map(({ store, info }) => store.leases.hold(info.storePath)))
  try {
    return await larder.keepDelta(toEnd(object), toEnd(base))
  } catch (error) {
    await withdrawIfCondemned(object, error)
    throw error
  } finally {
    for (const release of releases) release()
  }
}

function toEnd({ info: { narHash, narSize }, form }: StoreObject): DeltaEnd {
  return form.kind === 'tree'
    ? { kind: 'tree', realPath: form.realPath, narHash, narSize }
    : { kind: 'nar', open: form.openNar, narHash, narSize }
}

/** Undefined if it takes longer. */
async function within(
  { after }: Origin,
  making: Promise<CompressedNar | undefined>,
): Promise<CompressedNar | undefined> {
  making.catch(() => {})
  const { promise: late, resolve } = Promise.withResolvers<undefined>()
  const stop = after(patienceMs, () => resolve(undefined))
  try {
    return await Promise.race([making, late])
  } finally {
    stop()
  }
}
