/**
 * Finds a store object to request through the tunnel. Of a few candidates it is the smallest that the origin serves.
 */
import { opendir } from 'node:fs/promises'

import { parseNarInfo, resolveRoots } from '../../src/index.ts'
import type { Config } from '../config/config.ts'
import type { Ask, Login } from './asking.ts'
import { textOf } from './reply-text.ts'

export interface Sample {
  readonly hashPart: string
  readonly baseName: string
  /** The narinfo as served by the origin on this machine. */
  readonly text: string
  /** Path of its NAR, relative to the URL of the cache. */
  readonly narPath: string
}

const maxEntries = 500
const maxCandidates = 8
/** Small enough to be compressed at once; the search ends here. */
const smallBytes = 64 * 1024
const largestBytes = 64 * 1024 * 1024

/** `undefined` if the store has no suitable object, or the origin does not serve one. */
export async function findSample(
  { store, publish }: Config,
  ask: Ask,
  login: Login | undefined,
): Promise<Sample | undefined> {
  let best: { readonly sample: Sample; readonly size: number } | undefined
  for (const baseName of await findCandidates(store, publish?.roots)) {
    const hashPart = baseName.slice(0, 32)
    const reply = await ask(`/${hashPart}.narinfo`, { login })
    if (reply.kind === 'failure') break
    if (reply.status !== 200) continue
    const text = textOf(reply)
    const info = parseNarInfo(text, store.dir)
    if (
      info === undefined ||
      !/^nar\/(?!.*\.\.)[\w?=&%.+:/-]+$/.test(info.url) ||
      info.narSize > (best?.size ?? largestBytes)
    )
      continue
    best = { sample: { hashPart, baseName, text, narPath: `/${info.url}` }, size: info.narSize }
    if (info.narSize <= smallBytes) break
  }
  return best?.sample
}

/** If only some paths are published, those that the roots name are. */
async function findCandidates(
  store: Config['store'],
  roots: readonly string[] | undefined,
): Promise<readonly string[]> {
  if (roots === undefined) return await findBaseNames(store.realDir)
  const place = { storeDir: store.dir, realStoreDir: store.realDir }
  return resolveRoots(roots, place)
    .flatMap(({ baseNames }) => baseNames)
    .slice(0, maxCandidates)
}

async function findBaseNames(dir: string): Promise<string[]> {
  const names: string[] = []
  let entries = 0
  try {
    for await (const { name } of await opendir(dir)) {
      if (/^[0-9a-df-np-sv-z]{32}-[^.]/.test(name) && !/\.(?:drv|lock|chroot)$/.test(name)) names.push(name)
      if (++entries >= maxEntries || names.length >= maxCandidates) break
    }
  } catch {
    // The check of the store reports this.
  }
  return names
}
