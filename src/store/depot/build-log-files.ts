/**
 * Build logs that were pushed: kept as zstd, the same log again is known, another one under the same name conflicts.
 */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { dirname, join } from 'node:path'
import { pipeline, type Readable } from 'node:stream'
import { createZstdCompress, createZstdDecompress } from 'node:zlib'

import type { Disk } from '../../disk/disk.ts'
import { parseBaseName } from '../../nix/store-path.ts'
import { type DepotFiles, logKey } from './depot-files.ts'
import { readBody } from './incoming.ts'
import { KeyMutex } from './mutex.ts'
import type { Records } from './sqlite/records.ts'
import { type Pusher, Refused } from './types.ts'

export const maxLogBytes = 64 * 2 ** 20

export interface PutLog {
  /** `<hash part>-<name>.drv` */
  readonly drvBaseName: string
  readonly who: Pusher
}

export interface LogParts {
  readonly dir: string
  readonly disk: Disk
  readonly files: DepotFiles
  readonly records: Records
  readonly now: () => number
  readonly random: () => string
}

export class BuildLogFiles {
  readonly #parts: LogParts
  readonly #mutex = new KeyMutex()

  constructor(parts: LogParts) {
    this.#parts = parts
  }

  async put({ drvBaseName, who }: PutLog, body: AsyncIterable<Uint8Array>): Promise<'stored' | 'known' | 'conflict'> {
    if (parseBaseName(drvBaseName) === undefined || !drvBaseName.endsWith('.drv'))
      throw new Refused('mismatch', 'A log belongs to a derivation: log/<hash>-<name>.drv')
    const { dir, disk, random } = this.#parts
    const temp = join(dir, 'in', random())
    try {
      const written = await this.#write(body, temp)
      return await this.#mutex.run(drvBaseName, () => this.#keep(drvBaseName, who, temp, written))
    } finally {
      await disk.unlink(temp).catch(() => {})
    }
  }

  async #write(
    body: AsyncIterable<Uint8Array>,
    temp: string,
  ): Promise<{ readonly sha256: string; readonly fileSize: number }> {
    const file = await this.#parts.disk.create(temp, 0o444)
    try {
      const hash = createHash('sha256')
      const compressor = createZstdCompress()
      const compressed = pipeline(measured(body, hash), compressor, () => {})
      let fileSize = 0
      for await (const chunk of compressed) {
        fileSize += (chunk as Buffer).length
        await file.write(chunk as Buffer)
      }
      await file.sync()
      return { sha256: hash.digest('hex'), fileSize }
    } finally {
      await file.close()
    }
  }

  async #keep(
    drvBaseName: string,
    who: Pusher,
    temp: string,
    { sha256, fileSize }: { readonly sha256: string; readonly fileSize: number },
  ): Promise<'stored' | 'known' | 'conflict'> {
    const { dir, disk, files, records, now } = this.#parts
    const known = records.findLog(drvBaseName)
    if (known !== undefined) return known === sha256 ? 'known' : 'conflict'
    const key = logKey(drvBaseName)
    await disk.makeDirectory(join(dir, dirname(key)))
    await disk.syncDirectory(join(dir, 'log'))
    await files.put([{ key, localFile: temp }])
    await records.transaction(() => records.addLog(drvBaseName, sha256, fileSize, who.user, now()))
    return 'stored'
  }
}

async function* measured(
  body: AsyncIterable<Uint8Array>,
  hash: { update(bytes: Uint8Array): unknown },
): AsyncGenerator<Uint8Array> {
  let length = 0
  for await (const chunk of readBody(body)) {
    length += chunk.length
    if (length > maxLogBytes) throw new Refused('too-big', `A build log has at most ${maxLogBytes} bytes here`)
    hash.update(chunk)
    yield chunk
  }
}

/** The plain text of a kept log. */
export function readLog(dir: string, drvBaseName: string): Readable {
  return pipeline(createReadStream(join(dir, logKey(drvBaseName))), createZstdDecompress(), () => {})
}
