/**
 * The store paths that the roots of a policy name, as they are now:
 *
 *   /nix/store/<hash part>-app-1.0[/…]     the path itself
 *   /nix/var/nix/profiles/system           a link, perhaps through other links (system-42-link), to a store path
 *   /nix/var/nix/gcroots, …/profiles       a directory: each link in it and in its subdirectories that leads to a store
 *                                          path, and each file that is named as one
 *
 * Links inside of a directory that lead to other directories are not followed, as by Nix. Source: Nix, `findRoots`.
 */
import { type Dirent, lstatSync, readdirSync, readlinkSync, realpathSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'

import { parseBaseName } from '../../nix/store-path.ts'
import type { StorePlace } from './policy.ts'

export interface ResolvedRoot {
  readonly root: string
  /** Base names of store paths, which may not be valid. */
  readonly baseNames: readonly string[]
  /** Completes "it": `does not exist`. Set if it is of no use, or not whole. */
  readonly problem: string | undefined
}

type Place = Pick<StorePlace, 'storeDir' | 'realStoreDir'>

const maxLinks = 40
const maxDepth = 16
/** In one directory with all its subdirectories. */
const maxEntries = 100_000

/** Reads directories and links synchronously. Never throws. */
export function resolveRoots(roots: readonly string[], place: Place): ResolvedRoot[] {
  return roots.map((root) => {
    try {
      return resolveRoot(root, place)
    } catch (error) {
      return { root, baseNames: [], problem: describe(error) }
    }
  })
}

function resolveRoot(root: string, place: Place): ResolvedRoot {
  const end = followLinks(root, place)
  if (end.kind === 'store') return { root, baseNames: [end.baseName], problem: undefined }
  if (!lstatSync(end.path).isDirectory()) {
    const baseName = parseBaseName(basename(end.path))
    return baseName === undefined
      ? { root, baseNames: [], problem: 'is a file, but is not named as a store path' }
      : { root, baseNames: [baseName], problem: undefined }
  }
  const found = new Set<string>()
  const problem = collect(end.path, place, found)
  return {
    root,
    baseNames: [...found],
    problem: problem ?? (found.size === 0 ? 'contains no link to a store path' : undefined),
  }
}

type End = { readonly kind: 'store'; readonly baseName: string } | { readonly kind: 'other'; readonly path: string }

/** Ends at the store, or at what is no link. */
function followLinks(start: string, place: Place): End {
  let path = start
  for (let links = 0; links <= maxLinks; links++) {
    const baseName = findStorePath(path, place)
    if (baseName !== undefined) return { kind: 'store', baseName }
    if (!lstatSync(path).isSymbolicLink()) {
      // A directory on the way may be a link into the store as well.
      const real = realpathSync(path)
      const realBaseName = findStorePath(real, place)
      return realBaseName === undefined ? { kind: 'other', path: real } : { kind: 'store', baseName: realBaseName }
    }
    path = resolve(realpathSync(dirname(path)), readlinkSync(path))
  }
  throw Object.assign(new Error('too many links'), { code: 'ELOOP' })
}

/** The base name of the store path that this is, or is inside of. */
function findStorePath(path: string, { storeDir, realStoreDir }: Place): string | undefined {
  for (const dir of [storeDir, realStoreDir]) {
    if (!path.startsWith(`${dir}/`)) continue
    const [top = ''] = path.slice(dir.length + 1).split('/')
    if (parseBaseName(top) !== undefined) return top
  }
  return undefined
}

/** Adds to `found`. Returns what kept it from seeing everything. */
function collect(top: string, place: Place, found: Set<string>): string | undefined {
  const waiting = [{ dir: top, depth: 0 }]
  let entries = 0
  let problem: string | undefined
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const { dir, depth } = next
    if (dir === place.storeDir || dir === place.realStoreDir) {
      problem ??= 'contains the store itself, whose paths are not roots'
      continue
    }
    let names: Dirent[]
    try {
      names = readdirSync(dir, { withFileTypes: true })
    } catch (error) {
      problem ??= `contains "${dir}", which ${describe(error)}`
      continue
    }
    entries += names.length
    if (entries > maxEntries) return `contains more than ${maxEntries} files`
    for (const entry of names) {
      const path = join(dir, entry.name)
      if (entry.isDirectory()) {
        if (depth + 1 < maxDepth) waiting.push({ dir: path, depth: depth + 1 })
        else problem ??= `has more than ${maxDepth} levels of directories`
      } else if (entry.isSymbolicLink()) {
        const baseName = findTarget(path, place)
        if (baseName !== undefined) found.add(baseName)
      } else if (entry.isFile() && parseBaseName(entry.name) !== undefined) found.add(entry.name)
    }
  }
  return problem
}

/** Stale links are usual in directories of garbage collector roots. */
function findTarget(path: string, place: Place): string | undefined {
  try {
    const end = followLinks(path, place)
    return end.kind === 'store' ? end.baseName : undefined
  } catch {
    return undefined
  }
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist',
  EACCES: 'cannot be read by this user',
  EPERM: 'cannot be read by this user',
  ENOTDIR: 'does not exist',
  ELOOP: 'leads through too many links',
  ENAMETOOLONG: 'has too long a name',
}

function describe(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code ?? 'unknown error'
  return reasons[code] ?? `cannot be read (${code})`
}
