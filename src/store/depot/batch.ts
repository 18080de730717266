/**
 * Many small NARs in one body: a line of JSON, then the frames one behind the other.
 *
 *     {"entries":[{"narHash":"sha256:…","narSize":1234,"bytes":456},…]}\n<frame><frame>…
 */
import { createHash } from 'node:crypto'
import { zstdDecompressSync } from 'node:zlib'

import { batchNarBytes } from '../../nar/part-ranges.ts'
import { formatSha256 } from '../../nix/hash.ts'
import { readBody } from './incoming.ts'
import { NarCheck } from './nar-check.ts'
import type { NarFile } from './sqlite/records.ts'
import { Refused } from './types.ts'
import { parseFrameHeader } from './zstd-frames.ts'

export const batchLimits = { bodyBytes: 16 * 2 ** 20, narBytes: batchNarBytes, entries: 4096 }

export interface BatchEntry {
  readonly narHash: string
  readonly narSize: number
  readonly frame: Buffer
}

/** At most `batchLimits.bodyBytes` are held. @throws {Refused} */
export async function receiveBatch(
  body: AsyncIterable<Uint8Array>,
  bodyBytes: number,
  digest: string,
): Promise<BatchEntry[]> {
  if (bodyBytes > batchLimits.bodyBytes)
    throw new Refused('too-big', `A batch has at most ${batchLimits.bodyBytes} bytes`)
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of readBody(body)) {
    length += chunk.length
    if (length > bodyBytes) break
    chunks.push(Buffer.from(chunk))
  }
  if (length !== bodyBytes)
    throw new Refused(
      'file-mismatch',
      `The batch does not have the declared length of ${bodyBytes} bytes. Send it again`,
    )
  const bytes = Buffer.concat(chunks)
  if (createHash('sha256').update(bytes).digest('base64') !== digest) {
    throw new Refused('file-mismatch', 'The batch does not have the digest that was declared. Send it again')
  }
  return splitBatch(bytes)
}

function splitBatch(bytes: Buffer): BatchEntry[] {
  const lineEnd = bytes.indexOf(0x0a)
  const head = lineEnd < 0 ? undefined : parseHead(bytes.toString('utf8', 0, lineEnd))
  if (head === undefined) throw new Refused('file-mismatch', 'The first line of the batch does not list its entries')
  let at = lineEnd + 1
  const entries = head.map(({ narHash, narSize, bytes: length }) => {
    const frame = bytes.subarray(at, at + length)
    at += length
    return { narHash, narSize, frame }
  })
  if (at !== bytes.length) throw new Refused('file-mismatch', 'The entries of the batch do not add up to its length')
  return entries
}

function parseHead(line: string): { narHash: string; narSize: number; bytes: number }[] | undefined {
  try {
    const { entries } = JSON.parse(line) as { readonly entries: unknown }
    const isEntry = (entry: { narHash?: unknown; narSize?: unknown; bytes?: unknown } | null) =>
      /^sha256:[0-9a-df-np-sv-z]{52}$/.test(String(entry?.narHash)) && isSize(entry?.narSize) && isSize(entry?.bytes)
    return Array.isArray(entries) && entries.length <= batchLimits.entries && entries.every(isEntry)
      ? entries
      : undefined
  } catch {
    return undefined
  }
}

function isSize(value: unknown): boolean {
  return Number.isSafeInteger(value) && Number(value) > 0
}

/** Decompresses and checks one entry. @throws {Refused} */
export function checkEntry({ narHash, narSize, frame }: BatchEntry): NarFile & { readonly compression: 'zstd' } {
  if (narSize > batchLimits.narBytes)
    throw new Refused('too-big', `A NAR in a batch has at most ${batchLimits.narBytes} bytes: send it in parts`)
  const check = new NarCheck(narSize)
  try {
    if (parseFrameHeader(frame)?.contentBytes !== narSize) throw new Error('the frame does not say its size')
    check.push(zstdDecompressSync(frame, { maxOutputLength: narSize }))
  } catch (error) {
    throw error instanceof Refused
      ? error
      : new Refused('bad-nar', 'An entry of the batch is not one zstd frame of the size that is declared', {
          cause: error,
        })
  }
  const nar = check.end()
  if (nar.narHash !== narHash || nar.narSize !== narSize) {
    throw new Refused(
      'mismatch',
      `The NAR has hash ${nar.narHash} and ${nar.narSize} bytes, not ${narHash} and ${narSize}. Run "nix-store --verify-path" and push again`,
    )
  }
  return { ...nar, compression: 'zstd', fileHash: fileHashOf(frame), fileSize: frame.length }
}

function fileHashOf(bytes: Buffer): string {
  return formatSha256(createHash('sha256').update(bytes).digest())
}
