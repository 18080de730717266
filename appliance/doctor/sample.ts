/**
 * A store object that clients can really fetch, to be asked for through the tunnel: the smallest of a few, as the
 * origin itself describes it.
 */
import { opendir } from 'node:fs/promises'

import { parseNarInfo } from '../../src/index.ts'
import type { Config } from '../config/config.ts'
import type { Ask, Login } from './asking.ts'
import { textOf } from './reply-text.ts'

export interface Sample {
  readonly hashPart: string
  readonly baseName: string
  /** As the origin on this machine gave it. */
  readonly text: string
  /** Of its NAR, below the cache's URL. */
  readonly narPath: string
}

const maxLooks = 500
const maxAsked = 8
/** Compressing it costs nothing worth mentioning. */
const smallBytes = 64 * 1024
const largestBytes = 64 * 1024 * 1024

/** `undefined` when the store holds nothing suitable, or the origin answers otherwise. */
export async function findSample({ store }: Config, ask: Ask, login: Login | undefined): Promise<Sample | undefined> {
  let best: { readonly sample: Sample; readonly size: number } | undefined
  for (const baseName of await findBaseNames(store.realDir)) {
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

async function findBaseNames(dir: string): Promise<string[]> {
  const names: string[] = []
  let looks = 0
  try {
    for await (const { name } of await opendir(dir)) {
      if (/^[0-9a-df-np-sv-z]{32}-[^.]/.test(name) && !/\.(?:drv|lock|chroot)$/.test(name)) names.push(name)
      if (++looks >= maxLooks || names.length >= maxAsked) break
    }
  } catch {
    // Told by the check of the store.
  }
  return names
}
