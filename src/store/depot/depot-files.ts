/**
 * Where finished files lie, behind a port that object storage can stand behind later: NARs and logs only. A key is a
 * relative path:
 *
 *     nar/0n/<NAR hash>.<file hash>.<compression>        log/<2>/<rest of the derivation's base name>.zst
 */
import { createReadStream } from 'node:fs'
import { dirname, join } from 'node:path'

import { DirectorySync } from '../../disk/directory-sync.ts'
import type { Disk } from '../../disk/disk.ts'

export interface FileToKeep {
  readonly key: string
  readonly localFile: string
}

export interface DepotFiles {
  /** Takes over finished, flushed local files. Once this has resolved they survive a power cut. */
  put(files: readonly FileToKeep[]): Promise<void>
  /** One that is gone already is fine. */
  remove(key: string): Promise<void>
  /** Its bytes; undefined when there is none. */
  has(key: string): Promise<number | undefined>
  list(prefix: string): Promise<string[]>
  /** Its bytes from the first to the last, for those who read all of them. */
  open(key: string): AsyncIterable<Uint8Array>
}

const digits = [...'0123456789abcdfghijklmnpqrsvwxyz']
const readBytes = 256 * 1024
/** A SHA-256 in Nix32 begins with 0 or 1. */
export const narFolders = ['0', '1'].flatMap((first) => digits.map((second) => `nar/${first}${second}`))

export function narKey(nar: {
  readonly narHash: string
  readonly fileHash: string
  readonly compression: string
}): string {
  const bare = nar.narHash.slice(7)
  return `nar/${bare.slice(0, 2)}/${bare}.${nar.fileHash.slice(7)}.${nar.compression}`
}

export function logKey(drvBaseName: string): string {
  return `log/${drvBaseName.slice(0, 2)}/${drvBaseName.slice(2)}.zst`
}

export class LocalFiles implements DepotFiles {
  readonly #dir: string
  readonly #disk: Disk
  readonly #sync: DirectorySync

  constructor(dir: string, disk: Disk) {
    this.#dir = dir
    this.#disk = disk
    this.#sync = new DirectorySync(disk)
  }

  /** All names first, then one flush of each folder. */
  async put(files: readonly FileToKeep[]): Promise<void> {
    await allDone(files.map(({ key, localFile }) => this.#disk.rename(localFile, join(this.#dir, key))))
    const folders = new Set(files.map(({ key }) => dirname(join(this.#dir, key))))
    await allDone([...folders].map((folder) => this.#sync.sync(folder)))
  }

  remove(key: string): Promise<void> {
    return this.#disk.unlink(join(this.#dir, key))
  }

  has(key: string): Promise<number | undefined> {
    return this.#disk.sizeOf(join(this.#dir, key))
  }

  open(key: string): AsyncIterable<Uint8Array> {
    return createReadStream(join(this.#dir, key), { highWaterMark: readBytes })
  }

  async list(prefix: string): Promise<string[]> {
    return (await this.#disk.list(join(this.#dir, prefix))).map((name) => `${prefix}/${name}`)
  }
}

/** Waits for all of them even when one fails, so that nothing is still under way when the caller cleans up. */
async function allDone(work: readonly Promise<void>[]): Promise<void> {
  for (const result of await Promise.allSettled(work)) if (result.status === 'rejected') throw result.reason
}
