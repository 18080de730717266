/** Reads a NAR to its end and compares its hash and size with the expected ones. */
import { createHash } from 'node:crypto'

import type { ChunkReader } from '../chunks.ts'
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
export async function verifyNar(nar: ChunkReader, { narHash, narSize }: ExpectedNar): Promise<void> {
  const hash = createHash('sha256')
  let size = 0
  try {
    for (let chunk = await nar.next(); chunk !== undefined && size <= narSize; chunk = await nar.next()) {
      size += chunk.bytes.byteLength
      hash.update(chunk.bytes)
      chunk.release()
    }
  } finally {
    nar.close()
  }
  if (size !== narSize)
    throw new Fault(
      'nar-mismatch',
      `The NAR has ${size > narSize ? 'more than ' : ''}${Math.min(size, narSize)} bytes; its record says ${narSize}`,
    )
  const found = formatSha256(hash.digest())
  if (found !== narHash) throw new Fault('nar-mismatch', `The NAR has the hash ${found}; its record says ${narHash}`)
}
