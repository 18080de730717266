/**
 * A disk that remembers every operation, so that the state after a power cut at any of them can be built: `careful`
 * disks have kept only what was flushed (data by `sync`, names by `syncDirectory`), `eager` ones have written
 * everything at once. The database flushes by itself, so its files are taken as they lie.
 */
import { copyFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, relative } from 'node:path'

import { type Disk, systemDisk, type WritableFile } from '../../../src/disk/disk.ts'

interface Inode {
  readonly mode: number
  written: Buffer
  flushed: Buffer
}

type Names = Map<string, Map<string, Inode>>

export interface Cut {
  readonly label: string
  readonly acknowledged: readonly string[]
  /** Builds the directory as it would be found. */
  build(into: string): void
}

export class RecordingDisk implements Disk {
  readonly cuts: Cut[] = []
  readonly #root: string
  readonly #snapshots: string
  readonly #eager: Names = new Map()
  readonly #careful: Names = new Map()
  readonly #acknowledged: string[] = []
  #count = 0

  constructor(root: string, snapshots: string) {
    this.#root = root
    this.#snapshots = snapshots
  }

  acknowledge(label: string): void {
    this.#acknowledged.push(label)
    this.#cut(`acknowledged ${label}`)
  }

  /** The state now, as it would be found after a power cut, in both ways. */
  #cut(label: string): void {
    const at = this.#count++
    const database = join(this.#snapshots, String(at))
    mkdirSync(database, { recursive: true })
    for (const name of ['depot.db', 'depot.db-wal']) {
      if (existsSync(join(this.#root, name))) copyFileSync(join(this.#root, name), join(database, name))
    }
    const acknowledged = [...this.#acknowledged]
    for (const [kind, names] of [
      ['careful', this.#careful],
      ['eager', this.#eager],
    ] as const) {
      const files = [...names].flatMap(([dir, entries]) =>
        [...entries].map(
          ([name, inode]) => [join(dir, name), kind === 'eager' ? inode.written : inode.flushed] as const,
        ),
      )
      this.cuts.push({
        label: `${at} ${label} (${kind})`,
        acknowledged,
        build(into) {
          for (const name of ['depot.db', 'depot.db-wal'])
            if (existsSync(join(database, name))) copyFileSync(join(database, name), join(into, name))
          for (const [path, content] of files) {
            mkdirSync(join(into, dirname(path)), { recursive: true })
            writeFileSync(join(into, path), content)
          }
        },
      })
    }
  }

  #entries(names: Names, path: string): Map<string, Inode> {
    const dir = relative(this.#root, dirname(path))
    const known = names.get(dir) ?? new Map()
    names.set(dir, known)
    return known
  }

  #file(inode: Inode, file: WritableFile, path: string, start = 0): WritableFile {
    let position = start
    return {
      write: async (bytes) => {
        this.#cut(`before write ${path}`)
        await file.write(bytes)
        inode.written = Buffer.concat([inode.written.subarray(0, position), bytes])
        position += bytes.length
      },
      sync: async () => {
        this.#cut(`before sync ${path}`)
        await file.sync()
        inode.flushed = inode.written
      },
      close: () => file.close(),
    }
  }

  async create(path: string, mode: number): Promise<WritableFile> {
    this.#cut(`before create ${path}`)
    const file = await systemDisk.create(path, mode)
    const inode: Inode = { mode, written: Buffer.alloc(0), flushed: Buffer.alloc(0) }
    this.#entries(this.#eager, path).set(basename(path), inode)
    return this.#file(inode, file, path)
  }

  async reopen(path: string, length: number): Promise<WritableFile> {
    this.#cut(`before reopen ${path}`)
    const file = await systemDisk.reopen(path, length)
    const entries = this.#entries(this.#eager, path)
    const inode = entries.get(basename(path)) ?? { mode: 0o600, written: Buffer.alloc(0), flushed: Buffer.alloc(0) }
    inode.written = inode.written.subarray(0, length)
    entries.set(basename(path), inode)
    return this.#file(inode, file, path, length)
  }

  async rename(from: string, to: string): Promise<void> {
    this.#cut(`before rename ${to}`)
    await systemDisk.rename(from, to)
    const inode = this.#entries(this.#eager, from).get(basename(from))!
    this.#entries(this.#eager, from).delete(basename(from))
    this.#entries(this.#eager, to).set(basename(to), inode)
  }

  async unlink(path: string): Promise<void> {
    this.#cut(`before unlink ${path}`)
    await systemDisk.unlink(path)
    this.#entries(this.#eager, path).delete(basename(path))
  }

  async removeTree(path: string): Promise<void> {
    this.#cut(`before removal of ${path}`)
    await systemDisk.removeTree(path)
    this.#entries(this.#eager, path).delete(basename(path))
    this.#eager.delete(relative(this.#root, path))
  }

  async makeDirectory(path: string): Promise<void> {
    await systemDisk.makeDirectory(path)
  }

  async syncDirectory(path: string): Promise<void> {
    this.#cut(`before sync of ${path}`)
    await systemDisk.syncDirectory(path)
    const dir = relative(this.#root, path)
    this.#careful.set(dir, new Map(this.#eager.get(dir)))
    this.#cut(`after sync of ${path}`)
  }

  sizeOf(path: string): Promise<number | undefined> {
    return systemDisk.sizeOf(path)
  }

  list(path: string): Promise<string[]> {
    return systemDisk.list(path)
  }
}
