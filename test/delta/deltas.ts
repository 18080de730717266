/** What the tests of deltas share: encode and decode as a cache and a relay would, from trees on disk. */
import { createCipheriv, createHash } from 'node:crypto'
import { expect } from '@jest/globals'
import type { ChunkReader } from '../../src/chunks.ts'
import { decodeDelta } from '../../src/delta/decode.ts'
import { type DeltaTree, encodeDelta } from '../../src/delta/encode.ts'
import type { DeltaHeader } from '../../src/delta/format.ts'
import { TreeFiles } from '../../src/delta/tree-files.ts'
import { NarReader } from '../../src/nar/nar-reader.ts'
import { verifiedReader } from '../../src/nar/verify.ts'
import { formatSha256 } from '../../src/nix/hash.ts'
import { findLayout } from '../nar/find-layout.ts'
import type { TempDir, Tree } from '../nar/trees.ts'

export function sha256(bytes: Uint8Array): string {
  return formatSha256(createHash('sha256').update(bytes).digest())
}

/** The tree at this path, with its NAR's hash. */
export function readTree(path: string): DeltaTree {
  const layout = findLayout(path)
  const reader = new NarReader(layout)
  const hash = createHash('sha256')
  const buffer = Buffer.alloc(1024 * 1024)
  for (let count = reader.read(buffer); count > 0; count = reader.read(buffer)) hash.update(buffer.subarray(0, count))
  return { layout, narHash: formatSha256(hash.digest()) }
}

/** The whole NAR in memory. */
export function readNar({ layout }: DeltaTree): Buffer {
  const nar = Buffer.alloc(layout.narSize)
  const reader = new NarReader(layout)
  for (let at = 0; at < nar.length; ) at += reader.read(nar.subarray(at))
  return nar
}

export function headerOf(base: DeltaTree, target: DeltaTree): DeltaHeader {
  return {
    baseNarHash: base.narHash,
    baseNarSize: base.layout.narSize,
    narHash: target.narHash,
    narSize: target.layout.narSize,
  }
}

/** Everything a reader gives. Closes it. */
export async function readAll(reader: ChunkReader): Promise<Buffer> {
  const chunks: Buffer[] = []
  try {
    for (let chunk = await reader.next(); chunk !== undefined; chunk = await reader.next()) {
      chunks.push(Buffer.from(chunk.bytes))
      chunk.release()
    }
  } finally {
    reader.close()
  }
  return Buffer.concat(chunks)
}

export function encode(base: DeltaTree, target: DeltaTree): Promise<Buffer> {
  return readAll(encodeDelta(base, target))
}

/** Bytes as chunks of `pieceBytes`, whose memory is overwritten when they are released. */
export function chunksOf(bytes: Buffer, pieceBytes = bytes.length): ChunkReader {
  let at = 0
  return {
    async next() {
      if (at >= bytes.length) return undefined
      const piece = Buffer.from(bytes.subarray(at, at + pieceBytes))
      at += pieceBytes
      return { bytes: piece, release: () => void piece.fill(0xaa) }
    },
    close() {},
  }
}

/** As a relay does it: verified while it is passed on. */
export function decode(delta: ChunkReader, base: DeltaTree, header: DeltaHeader): Promise<Buffer> {
  const nar = decodeDelta(delta, new TreeFiles(base.layout.realPath), header)
  return readAll(verifiedReader(nar, header))
}

/** The same for the same seed. */
export const random = (length: number, seed: number): Buffer =>
  createCipheriv('aes-128-ctr', Buffer.alloc(16, seed), Buffer.alloc(16)).update(Buffer.alloc(length))

/** Encodes, decodes in pieces, compares, and returns the delta. */
export async function roundTrip(dir: TempDir, base: Tree, target: Tree, pieceBytes = 1000): Promise<Buffer> {
  const name = `${Math.random()}`
  const from = readTree(dir.write(`${name}-base`, base))
  const to = readTree(dir.write(`${name}-target`, target))
  const delta = await encode(from, to)
  const nar = await decode(chunksOf(delta, pieceBytes), from, headerOf(from, to))
  expect(nar.equals(readNar(to))).toBe(true)
  return delta
}
