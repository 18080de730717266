/**
 * Reads a kept NAR once more, for a hash that was not computed when it came (SHA-1, SHA-512 and MD5 of older
 * fixed-output derivations).
 */
import { createHash } from 'node:crypto'

import { NarParser } from '../../nar/parse.ts'
import { formatHash, type HashAlgorithm } from '../../nix/hash.ts'
import { createDecoder, type DecoderOptions } from './decoder.ts'
import type { NarRecord } from './types.ts'

/** `md5:<Nix32>` and so on; undefined for `flat` when the NAR is no single plain file. */
export async function rereadContent(
  file: AsyncIterable<Uint8Array>,
  nar: NarRecord,
  method: 'flat' | 'nar',
  algorithm: string,
  options: DecoderOptions,
): Promise<string | undefined> {
  if (method === 'flat' && nar.flatHash === undefined) return undefined
  const hash = createHash(algorithm)
  const ignore = () => {}
  const sink = { directory: ignore, leaveDirectory: ignore, regular: ignore, leaveRegular: ignore, symlink: ignore }
  const parser = new NarParser({ ...sink, content: (bytes) => void hash.update(bytes) })
  const decoder = createDecoder(
    nar.compression,
    method === 'nar' ? (bytes) => void hash.update(bytes) : (bytes) => void parser.push(bytes),
    options,
  )
  try {
    for await (const chunk of file) await decoder.write(chunk)
    await decoder.end()
  } finally {
    decoder.close()
  }
  return formatHash({ algorithm: algorithm as HashAlgorithm, digest: hash.digest() }, 'nix32')
}
