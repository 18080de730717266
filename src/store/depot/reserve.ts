/** A file that only takes up room: given up when the disk is full, so that the database can record removals. */
import { open, rm, stat } from 'node:fs/promises'

export class Reserve {
  readonly #path: string
  readonly #bytes: number

  constructor(path: string, bytes: number) {
    this.#path = path
    this.#bytes = bytes
  }

  /** Makes the file if it is missing; leaves it when the disk has no room for it. */
  async take(): Promise<void> {
    const present = await stat(this.#path).catch(() => undefined)
    if (present?.size === this.#bytes) return
    try {
      await using handle = await open(this.#path, 'w', 0o600)
      const zeros = Buffer.alloc(64 * 1024)
      for (let at = 0; at < this.#bytes; at += zeros.length)
        await handle.write(zeros, 0, Math.min(zeros.length, this.#bytes - at))
      await handle.datasync()
    } catch {
      await rm(this.#path, { force: true })
    }
  }

  /** False when there was nothing to give up. */
  async giveUp(): Promise<boolean> {
    if ((await stat(this.#path).catch(() => undefined)) === undefined) return false
    await rm(this.#path, { force: true })
    return true
  }
}
