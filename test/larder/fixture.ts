/** A larder in a directory of its own, and what tests do with its readers. */
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ChunkReader } from '../../src/chunks.ts'
import { openDeltaMaker } from '../../src/delta/maker/delta-thread.ts'
import type { Larder } from '../../src/larder/larder.ts'
import { type LarderOptions, openLarder } from '../../src/larder/open-larder.ts'
import type { Log } from '../../src/log.ts'
import { StandInPacker } from './stand-in-packer.ts'

export interface LogLine {
  readonly level: keyof Log
  readonly message: string
  readonly fields: Record<string, unknown>
}

export function openTestLog(): Log & { readonly lines: LogLine[] } {
  const lines: LogLine[] = []
  const line = (level: keyof Log) => (fields: object, message: string) =>
    void lines.push({ level, message, fields: { ...fields } })
  return { lines, debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') }
}

export class TestLarder implements AsyncDisposable {
  readonly dir: string
  readonly packer = new StandInPacker()
  readonly log = openTestLog()
  now = 1_700_000_000_000
  /** Of the steady clock, where it goes another way than `now`. */
  steadyMs: number | undefined
  larder!: Larder
  readonly #parent: string

  private constructor(parent: string) {
    this.#parent = parent
    this.dir = join(parent, 'larder')
  }

  static async open(options: Partial<LarderOptions> = {}): Promise<TestLarder> {
    const test = new TestLarder(await mkdtemp(join(tmpdir(), 'burrow-larder-')))
    await test.reopen(options)
    return test
  }

  /** Without opening a larder in it. */
  static async prepare(): Promise<TestLarder> {
    return new TestLarder(await mkdtemp(join(tmpdir(), 'burrow-larder-')))
  }

  async reopen(options: Partial<LarderOptions> = {}): Promise<Larder> {
    await this.larder?.[Symbol.asyncDispose]()
    this.larder = await openLarder({
      dir: this.dir,
      maxBytes: 1e9,
      level: 3,
      zstdVersion: '1.5.7',
      packer: this.packer,
      deltaMaker: openDeltaMaker({ log: this.log }),
      log: this.log,
      now: () => this.now,
      steadyNow: () => this.steadyMs ?? this.now,
      ...options,
    })
    return this.larder
  }

  /** Names of kept files, sorted. */
  async keptNames(): Promise<string[]> {
    return (await readdir(this.dir)).filter((name) => /^[0-9a-z]{52}\./.test(name)).sort()
  }

  async tempNames(): Promise<string[]> {
    return (await readdir(this.dir)).filter((name) => name.startsWith('tmp-'))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.larder?.[Symbol.asyncDispose]()
    await rm(this.#parent, { recursive: true, force: true })
  }
}

/** All bytes to the end, every chunk copied before it is released. */
export async function readAll(reader: ChunkReader): Promise<Buffer> {
  const copies: Buffer[] = []
  try {
    for (let chunk = await reader.next(); chunk !== undefined; chunk = await reader.next()) {
      copies.push(Buffer.from(chunk.bytes))
      chunk.release()
    }
  } finally {
    reader.close()
  }
  return Buffer.concat(copies)
}

export async function readChunk(reader: ChunkReader): Promise<Buffer> {
  const chunk = await reader.next()
  if (chunk === undefined) throw new Error('The reader is at its end')
  const copy = Buffer.from(chunk.bytes)
  chunk.release()
  return copy
}
