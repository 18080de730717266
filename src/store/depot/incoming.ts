/**
 * A NAR on its way in: written to `in/`, hashed, decompressed, parsed and hashed again while it comes, so that after
 * its last byte only the flush is left. Memory: the chunk in hand and the decompressor's window. The sender is held
 * back by not asking for the next chunk.
 */
import { createHash } from 'node:crypto'

import type { Disk, WritableFile } from '../../disk/disk.ts'
import { formatSha256 } from '../../nix/hash.ts'
import type { Compression } from '../../nix/nar-info.ts'
import { createDecoder, type DecoderOptions } from './decoder.ts'
import { NarCheck } from './nar-check.ts'
import type { NarFile } from './sqlite/records.ts'
import type { Decoder } from './stream-decoder.ts'
import { Refused } from './types.ts'

export interface Expected {
  readonly fileHash?: string | undefined
  readonly fileSize?: number | undefined
  readonly narHash?: string | undefined
  readonly narSize?: number | undefined
}

export interface IncomingOptions extends DecoderOptions {
  readonly disk: Disk
  readonly maxNarBytes: number
}

/**
 * Writes the body to `tempFile`, flushed, and says what it is. The file stays when this resolves and is gone when it
 * rejects. @throws {Refused}
 */
export async function receiveFile(
  body: AsyncIterable<Uint8Array>,
  declared: Compression,
  expected: Expected,
  tempFile: string,
  options: IncomingOptions,
): Promise<NarFile & { readonly compression: Compression }> {
  const check = new NarCheck(Math.min(options.maxNarBytes, expected.narSize ?? Number.MAX_SAFE_INTEGER))
  let compression = declared
  let decoder: Decoder | undefined
  let file: WritableFile | undefined
  try {
    file = await options.disk.create(tempFile, 0o444)
    const hash = createHash('sha256')
    let fileSize = 0
    for await (const chunk of readBody(body)) {
      fileSize += chunk.length
      if (expected.fileSize !== undefined && fileSize > expected.fileSize) throw wrongLength(expected.fileSize)
      hash.update(chunk)
      if (decoder === undefined) {
        compression = recognise(declared, chunk)
        decoder = createDecoder(compression, (bytes) => check.push(bytes), options)
      }
      await Promise.all([file.write(chunk), decoder.write(chunk)])
    }
    if (expected.fileSize !== undefined && fileSize !== expected.fileSize) throw wrongLength(expected.fileSize)
    const fileHash = formatSha256(hash.digest())
    if (expected.fileHash !== undefined && fileHash !== expected.fileHash) {
      throw new Refused(
        'file-mismatch',
        `The body hashes to ${fileHash}, not to ${expected.fileHash} as its name says. Send it again`,
      )
    }
    if (decoder === undefined) throw new Refused('bad-nar', 'The body is empty')
    await decoder.end()
    const nar = check.end()
    if (
      expected.narHash !== undefined &&
      (nar.narHash !== expected.narHash || nar.narSize !== (expected.narSize ?? nar.narSize))
    ) {
      throw new Refused(
        'mismatch',
        `The NAR has hash ${nar.narHash} and ${nar.narSize} bytes, not ${expected.narHash} and ${expected.narSize} as declared`,
      )
    }
    await file.sync()
    await file.close()
    return { ...nar, compression, fileHash, fileSize }
  } catch (error) {
    await file?.close().catch(() => {})
    await options.disk.unlink(tempFile).catch(() => {})
    throw error
  } finally {
    decoder?.close()
  }
}

/** Nix gives gzip no suffix of its own, so what comes without one is either; a NAR never begins like that. */
function recognise(declared: Compression, first: Uint8Array): Compression {
  return declared === 'none' && first[0] === 0x1f ? 'gzip' : declared
}

export async function* readBody(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of body) yield chunk
  } catch (error) {
    throw error instanceof Refused ? error : new Refused('cut', 'The body was cut off', { cause: error })
  }
}

function wrongLength(declared: number): Refused {
  return new Refused('file-mismatch', `The body does not have the declared length of ${declared} bytes. Send it again`)
}
