/** Copies of the database, one a day, two kept. A copy has its name only when it is whole and on disk. */
import { open } from 'node:fs/promises'
import { join } from 'node:path'

import type { Disk } from '../../disk/disk.ts'
import type { WritingDatabase } from './sqlite/writing-database.ts'

const kept = 2

export class Backups {
  readonly #folder: string
  readonly #disk: Disk
  readonly #database: WritingDatabase

  constructor(dir: string, disk: Disk, database: WritingDatabase) {
    this.#folder = join(dir, 'backup')
    this.#disk = disk
    this.#database = database
  }

  /** Returns the name of the day's copy. */
  async makeForDay(now: number): Promise<string> {
    const name = `depot-${new Date(now).toISOString().slice(0, 10)}.db`
    const names = await this.#disk.list(this.#folder)
    if (names.includes(name)) return name
    const temp = join(this.#folder, 'unfinished')
    await this.#disk.unlink(temp)
    this.#database.copyInto(temp)
    await using handle = await open(temp, 'r+')
    await handle.datasync()
    await this.#disk.rename(temp, join(this.#folder, name))
    await this.#disk.syncDirectory(this.#folder)
    const old = names.filter((other) => /^depot-\d{4}-\d\d-\d\d\.db$/.test(other)).sort()
    for (const other of old.slice(0, Math.max(0, old.length + 1 - kept)))
      await this.#disk.unlink(join(this.#folder, other))
    return name
  }
}
