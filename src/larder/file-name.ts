/**
 * The names in a larder's directory. A kept file carries all that is known of it:
 *   0n8w…(52).zstd-3-1.5.7.1k2f…(52).48213     <NAR hash>.<recipe>.<file hash>.<file size>
 *   0n8w…(52).delta-1-12-1.5.7-0c3d…(52).1k2f…(52).4821    a delta: its recipe names the base's NAR hash too
 * with hashes in Nix32 and without `sha256:`. Everything else of ours is a temporary (`tmp-<random>`), the lock, or the
 * directory's tag.
 */

import { deltaLevel } from '../delta/file-encoder.ts'
import { deltaVersion } from '../delta/format.ts'

/** The parts of a kept file's name; hashes bare, without `sha256:`. */
export interface KeptName {
  readonly narHash: string
  readonly recipe: string
  readonly fileHash: string
  readonly fileSize: number
}

const hashLength = 52
const keptName =
  /^[0-9a-df-np-sv-z]{52}\.(?:zstd-[1-9]\d?-[0-9a-z][0-9a-z.-]{0,30}|delta-[0-9a-z.-]{1,30}-[0-9a-df-np-sv-z]{52})\.[0-9a-df-np-sv-z]{52}\.[1-9]\d{0,14}$/
const tempName = /^tmp-[0-9a-z]{8,64}$/

/** One lock a directory, held as long as the process lives: see `src/disk/lock.ts`. */
export const lockName = 'burrow-larder.lock'
/**
 * Marks the directory as a cache for backup programs, and as a larder for Burrow
 * (https://bford.info/cachedir/).
 */
export const tagName = 'CACHEDIR.TAG'

export function parseKeptName(name: string): KeptName | undefined {
  if (!isKeptName(name)) return undefined
  const sizeAt = name.lastIndexOf('.') + 1
  const fileHashAt = sizeAt - 1 - hashLength
  return {
    narHash: name.slice(0, hashLength),
    recipe: name.slice(hashLength + 1, fileHashAt - 1),
    fileHash: name.slice(fileHashAt, sizeAt - 1),
    fileSize: Number(name.slice(sizeAt)),
  }
}

function isKeptName(name: string): boolean {
  return keptName.test(name)
}

export function formatKeptName({ narHash, recipe, fileHash, fileSize }: KeptName): string {
  return `${narHash}.${recipe}.${fileHash}.${fileSize}`
}

/**
 * `zstd-<level>-<zstd version>`.
 * @throws {RangeError} when level or version are not what zstd knows: a bug of the caller, whose values come from a
 * checked configuration.
 */
export function formatRecipe(level: number, zstdVersion: string): string {
  if (!Number.isInteger(level) || level < 1 || level > 22)
    throw new RangeError(`Cannot name a recipe for level "${level}": it must be 1 to 22`)
  if (!/^\d[0-9a-z.-]{0,23}$/.test(zstdVersion))
    throw new RangeError(`Cannot name a recipe for zstd "${zstdVersion}": that is not a version number`)
  return `zstd-${level}-${zstdVersion}`
}

/**
 * `delta-<format version>-<level>-<zstd version>-<NAR hash of the base>`: a delta's bytes depend on all of these and
 * the NAR.
 */
export function formatDeltaRecipe(zstdVersion: string, baseNarHash: string): string {
  return `delta-${deltaVersion}-${deltaLevel}-${zstdVersion}-${toBareHash(baseNarHash)}`
}

export function isDeltaRecipe(recipe: string): boolean {
  return recipe.startsWith('delta-')
}

/** True for what a run of Burrow leaves behind when it is killed. */
export function isTempName(name: string): boolean {
  return tempName.test(name)
}

/** Names that only Burrow uses: a directory that contains one is a larder. */
export function isLarderName(name: string): boolean {
  return name.startsWith(lockName) || keptName.test(name)
}

export function isOurName(name: string): boolean {
  return name === tagName || isTempName(name) || isLarderName(name)
}

/** What file systems and network disks put into an empty directory by themselves says nothing on whose it is. */
export function isNeutralName(name: string): boolean {
  return name.startsWith('.') || name === 'lost+found' || name === '@eaDir'
}

/** `sha256:<52>` to the bare hash that names files and is the key of every map here. */
export function toBareHash(hash: string): string {
  return hash.slice('sha256:'.length)
}

/** Disk space of a file of so many bytes: file systems give whole blocks, and 100,000 small files make that count. */
export function toDiskBytes(size: number): number {
  return Math.ceil(size / blockBytes) * blockBytes
}

const blockBytes = 4096
