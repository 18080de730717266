/**
 * Which NAR a file was that Nix pushed through the relay. Nix remembers the narinfo it wrote itself, for a month, and
 * later asks for the file by that name; the far end keeps the NAR in another form. One line for each file:
 *
 *     <file hash> <hash part> <NAR hash>       in Nix32, hashes without `sha256:`
 */
import { appendFile, readFile, rename, writeFile } from 'node:fs/promises'

const maxFiles = 50_000
const line = /^([0-9a-df-np-sv-z]{52}) ([0-9a-df-np-sv-z]{32}) ([0-9a-df-np-sv-z]{52})$/

export interface PushedNar {
  readonly hashPart: string
  /** `sha256:<52 Nix32>` */
  readonly narHash: string
}

export class PushedFiles {
  readonly #file: string
  readonly #nars = new Map<string, PushedNar>()
  #writing: Promise<void> = Promise.resolve()

  private constructor(file: string) {
    this.#file = file
  }

  /** A file that is missing is an empty one; lines that cannot be read are left out. */
  static async open(file: string): Promise<PushedFiles> {
    const pushed = new PushedFiles(file)
    const lines = (await readFile(file, 'utf8').catch(() => '')).split('\n')
    for (const text of lines.slice(-maxFiles)) {
      const [, fileHash, hashPart, narHash] = line.exec(text) ?? []
      if (narHash !== undefined)
        pushed.#nars.set(`sha256:${fileHash}`, { hashPart: hashPart!, narHash: `sha256:${narHash}` })
    }
    if (lines.length > maxFiles + 1) {
      await writeFile(`${file}.new`, [...pushed.#nars].map(format).join(''), { mode: 0o600 })
      await rename(`${file}.new`, file)
    }
    return pushed
  }

  find(fileHash: string): PushedNar | undefined {
    return this.#nars.get(fileHash)
  }

  /** Rejects with the disk's error. */
  async add(fileHash: string, nar: PushedNar): Promise<void> {
    if (this.#nars.has(fileHash)) return
    this.#nars.set(fileHash, nar)
    this.#writing = this.#writing
      .catch(() => {})
      .then(() => appendFile(this.#file, format([fileHash, nar]), { mode: 0o600 }))
    await this.#writing
  }
}

function format([fileHash, { hashPart, narHash }]: readonly [string, PushedNar]): string {
  return `${bare(fileHash)} ${hashPart} ${bare(narHash)}\n`
}

const bare = (hash: string) => hash.slice('sha256:'.length)
