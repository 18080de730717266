/**
 * A depot in a directory of its own, and what is pushed to it: NARs made here, compressed by real zlib, xz and bzip2,
 * with the records that belong to them.
 */

import { execFileSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { brotliCompressSync, constants, gzipSync, zstdCompressSync } from 'node:zlib'

import { findDecompressors } from '../../../appliance/server/decompressors.ts'

import type { ChunkReader } from '../../../src/chunks.ts'
import type { Disk } from '../../../src/disk/disk.ts'
import { silentLog } from '../../../src/log.ts'
import { padded } from '../../../src/nar/tokens.ts'
import type { Compression } from '../../../src/nix/nar-info.ts'
import { encodeNix32 } from '../../../src/nix/nix32.ts'
import type { Depot } from '../../../src/store/depot/depot.ts'
import type { DepotOptions } from '../../../src/store/depot/depot-options.ts'
import { openDepot } from '../../../src/store/depot/open-depot.ts'
import type { NarReceived, PushedPath, Pusher, Registered } from '../../../src/store/depot/types.ts'
import type { VerifyReport } from '../../../src/store/depot/verify.ts'
import type { Tree } from '../../nar/trees.ts'
import { writerHere } from './writer-here.ts'

export const storeDir = '/nix/store'
export const ann: Pusher = { user: 'ann', via: 'nix' }
export const ben: Pusher = { user: 'ben', via: 'nix' }

function token(bytes: Buffer | string): Buffer {
  const content = Buffer.from(bytes as string)
  const out = Buffer.alloc(8 + padded(content.length))
  out.writeBigUInt64LE(BigInt(content.length))
  content.copy(out, 8)
  return out
}

function encodeNode(tree: Tree): Buffer {
  if (tree.kind === 'symlink')
    return Buffer.concat([...['(', 'type', 'symlink', 'target'].map(token), token(tree.target), token(')')])
  if (tree.kind === 'regular') {
    const flags = tree.isExecutable ? ['executable', ''] : []
    return Buffer.concat([
      ...['(', 'type', 'regular', ...flags, 'contents'].map(token),
      token(tree.content),
      token(')'),
    ])
  }
  const entries = tree.entries.flatMap(([name, child]) => [
    ...['entry', '(', 'name'].map(token),
    token(name),
    token('node'),
    encodeNode(child),
    token(')'),
  ])
  return Buffer.concat([...['(', 'type', 'directory'].map(token), ...entries, token(')')])
}

/** In the order given: an unsorted tree makes an unsorted NAR. */
export function encodeNar(tree: Tree): Buffer {
  return Buffer.concat([token('nix-archive-1'), encodeNode(tree)])
}

export function sha256(bytes: Uint8Array): string {
  return `sha256:${encodeNix32(createHash('sha256').update(bytes).digest())}`
}

export function compress(nar: Buffer, compression: Compression): Buffer {
  switch (compression) {
    case 'zstd':
      return zstdCompressSync(nar, { params: { [constants.ZSTD_c_compressionLevel]: 3 } })
    case 'br':
      return brotliCompressSync(nar, { params: { [constants.BROTLI_PARAM_QUALITY]: 3 } })
    case 'gzip':
      return gzipSync(nar)
    case 'xz':
      return execFileSync('xz', ['-1', '-c'], { input: nar, maxBuffer: 1e9 })
    case 'bzip2':
      return execFileSync('bzip2', ['-c'], { input: nar, maxBuffer: 1e9 })
    default:
      return nar
  }
}

/** A store object that can be pushed. */
export interface Made {
  readonly path: PushedPath
  readonly nar: Buffer
  readonly file: Buffer
  readonly fileHash: string
  readonly compression: Compression
}

export function makeHashPart(seed: string): string {
  return encodeNix32(createHash('sha256').update(seed).digest().subarray(0, 20))
}

export function make(
  name: string,
  options: {
    readonly tree?: Tree
    readonly nar?: Buffer
    readonly compression?: Compression
    readonly references?: readonly string[]
    readonly storePath?: string
  } = {},
): Made {
  const { compression = 'zstd', references = [], storePath = `${storeDir}/${makeHashPart(name)}-${name}` } = options
  const tree: Tree = options.tree ?? {
    kind: 'regular',
    content: Buffer.from(`content of ${name}\n`),
    isExecutable: false,
  }
  const nar = options.nar ?? encodeNar(tree)
  const file = compress(nar, compression)
  const fileHash = sha256(file)
  const path: PushedPath = {
    storePath,
    narHash: sha256(nar),
    narSize: nar.length,
    references: [...references].sort(),
    deriver: undefined,
    signatures: [],
    contentAddress: undefined,
    file: { fileHash, fileSize: file.length, compression },
  }
  return { path, nar, file, fileHash, compression }
}

/** Noise of this size as a plain file. */
export function noise(bytes: number): Tree {
  return { kind: 'regular', content: randomBytes(bytes), isExecutable: false }
}

export async function* inChunks(bytes: Uint8Array, chunkBytes = 65_536): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += chunkBytes) yield bytes.subarray(at, at + chunkBytes)
}

export async function readAll(reader: ChunkReader): Promise<Buffer> {
  const parts: Buffer[] = []
  for (let chunk = await reader.next(); chunk !== undefined; chunk = await reader.next()) {
    parts.push(Buffer.from(chunk.bytes))
    chunk.release()
  }
  reader.close()
  return Buffer.concat(parts)
}

export class TestDepot implements AsyncDisposable {
  readonly dir: string
  now = Date.UTC(2026, 0, 15, 12)
  #depot: Depot | undefined
  readonly #isOurs: boolean

  constructor(dir?: string) {
    this.dir = dir ?? join(mkdtempSync(join(tmpdir(), 'burrow-depot-')), 'depot')
    this.#isOurs = dir === undefined
  }

  static async open(options: Partial<DepotOptions> = {}): Promise<TestDepot> {
    const test = new TestDepot()
    await test.reopen(options)
    return test
  }

  get depot(): Depot {
    return this.#depot!
  }

  async reopen(options: Partial<DepotOptions> = {}): Promise<Depot> {
    await this.close()
    this.#depot = await openDepot({
      dir: this.dir,
      storeDir,
      maxBytes: 2 ** 30,
      keepFree: 0,
      searchPath: '/usr/bin:/bin',
      decompressors: findDecompressors('/usr/bin:/bin'),
      log: silentLog,
      reserveBytes: 65_536,
      pid: process.pid,
      now: () => this.now,
      ...options,
    })
    return this.#depot
  }

  /** As `reopen`, with the writer in this thread and on this clock. */
  reopenHere(options: Partial<DepotOptions> = {}, disk?: Disk): Promise<Depot> {
    return this.reopen({ startWriter: writerHere(() => this.now, disk), ...options })
  }

  static async openHere(options: Partial<DepotOptions> = {}): Promise<TestDepot> {
    const test = new TestDepot()
    await test.reopenHere(options)
    return test
  }

  async close(): Promise<void> {
    await this.#depot?.[Symbol.asyncDispose]()
    this.#depot = undefined
  }

  send(made: Made, who = ann): Promise<NarReceived> {
    const { fileHash, compression, file } = made
    return this.depot.receiveNar({ fileHash, fileSize: file.length, compression, who }, inChunks(file))
  }

  async register(made: Made, who = ann, changes: Partial<PushedPath> = {}): Promise<Registered> {
    const verdicts = await this.depot.register({ paths: [{ ...made.path, ...changes }], who, isAtomic: true })
    return 'status' in verdicts ? verdicts : verdicts[0]!
  }

  /** NAR and record, as `nix copy` sends them. */
  async push(made: Made, who = ann): Promise<Registered> {
    const received = await this.send(made, who)
    return received.status === 'refused' ? received : await this.register(made, who)
  }

  async verify(): Promise<VerifyReport> {
    const report = await this.depot.verify()
    if ('status' in report) throw new Error(report.reason)
    return report
  }

  find(made: Made) {
    return this.depot.find(made.path.storePath.slice(storeDir.length + 1, storeDir.length + 33))
  }

  /** The file as a client gets it. */
  async read(made: Made, range?: { readonly start: number; readonly end: number }): Promise<Buffer> {
    const form = this.find(made)?.form
    if (form?.kind !== 'file') throw new Error(`${made.path.storePath} is not here`)
    return await readAll(await form.open(range))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
    if (this.#isOurs) rmSync(join(this.dir, '..'), { recursive: true, force: true })
  }
}
