/** Compares hash and size of a NAR with the expected ones: when it was read to its end, or while it is passed on. */
import { createHash } from 'node:crypto'

import type { Chunk, ChunkReader } from '../chunks.ts'
import { Fault } from '../faults.ts'
import { formatSha256 } from '../nix/hash.ts'

export interface ExpectedNar {
  /** `sha256:<52 Nix32>` */
  readonly narHash: string
  /** Bytes. */
  readonly narSize: number
}

/**
 * Rejects with the fault nar-mismatch, or with the reader's fault. Reads at most one chunk beyond `narSize`. Closes the
 * reader.
 */
export async function verifyNar(nar: ChunkReader, expected: ExpectedNar): Promise<void> {
  const hash = createHash('sha256')
  let size = 0
  try {
    for (let chunk = await nar.next(); chunk !== undefined && size <= expected.narSize; chunk = await nar.next()) {
      size += chunk.bytes.byteLength
      hash.update(chunk.bytes)
      chunk.release()
    }
  } finally {
    nar.close()
  }
  requireSize(size, expected)
  requireHash(formatSha256(hash.digest()), expected)
}

/**
 * Passes a NAR on. The chunk that completes it is given only after the hash was found right. Rejects with the fault
 * nar-mismatch, or with the reader's fault.
 */
export function verifiedReader(nar: ChunkReader, expected: ExpectedNar): ChunkReader {
  const hash = createHash('sha256')
  let size = 0
  let found: string | undefined
  const verify = (chunk: Chunk): void => {
    size += chunk.bytes.byteLength
    if (size > expected.narSize) requireSize(size, expected)
    if (found === undefined) hash.update(chunk.bytes)
    if (size < expected.narSize) return
    found ??= formatSha256(hash.digest())
    requireHash(found, expected)
  }
  return {
    async next() {
      const chunk = await nar.next()
      if (chunk === undefined) {
        requireSize(size, expected)
        return undefined
      }
      try {
        verify(chunk)
        return chunk
      } catch (error) {
        chunk.release()
        throw error
      }
    },
    close: () => nar.close(),
  }
}

function requireSize(size: number, { narSize }: ExpectedNar): void {
  if (size === narSize) return
  throw new Fault(
    'nar-mismatch',
    `The NAR has ${size > narSize ? 'more than ' : ''}${Math.min(size, narSize)} bytes; its record says ${narSize}`,
  )
}

function requireHash(found: string, { narHash }: ExpectedNar): void {
  if (found !== narHash) throw new Fault('nar-mismatch', `The NAR has the hash ${found}; its record says ${narHash}`)
}
