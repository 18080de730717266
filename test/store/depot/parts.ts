/** A NAR cut into parts as Burrow's client sends them. */
import { createHash } from 'node:crypto'
import { constants, gzipSync, zstdCompressSync } from 'node:zlib'

import type { PartReceived } from '../../../src/store/depot/assemblies.ts'
import type { Committed } from '../../../src/store/depot/committing.ts'
import type { Pusher, Refusal } from '../../../src/store/depot/types.ts'
import { inChunks, type Made, type TestDepot } from './fixture.ts'

export const mib = 2 ** 20
export const cat: Pusher = { user: 'cat', via: 'burrow' }

export function digestOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('base64')
}

export function frameOf(bytes: Buffer, level = 3): Buffer {
  return zstdCompressSync(bytes, {
    pledgedSrcSize: bytes.length,
    params: { [constants.ZSTD_c_compressionLevel]: level, [constants.ZSTD_c_contentSizeFlag]: 1 },
  })
}

export function cut(nar: Buffer, partBytes = mib): Buffer[] {
  const parts: Buffer[] = []
  for (let at = 0; at < nar.length; at += partBytes) parts.push(nar.subarray(at, at + partBytes))
  return parts
}

export interface PartOptions {
  readonly level?: number
  readonly encoding?: 'zstd' | 'gzip'
  readonly body?: Buffer
  readonly digest?: string
  readonly who?: Pusher
  readonly partBytes?: number
}

export function putPart(test: TestDepot, made: Made, index: number, options: PartOptions = {}): Promise<PartReceived> {
  const { level = 3, encoding = 'zstd', who = cat, partBytes = mib } = options
  const bytes = made.nar.subarray(index * partBytes, (index + 1) * partBytes)
  const body = options.body ?? (encoding === 'zstd' ? frameOf(bytes, level) : gzipSync(bytes))
  const { narHash, narSize } = made.path
  const part = {
    narHash,
    narSize,
    partBytes,
    index,
    digest: options.digest ?? digestOf(body),
    bodyBytes: body.length,
    encoding,
    who,
  }
  return test.depot.putPart(part, inChunks(body))
}

/** Sends NARs in one batch. */
export function putBatch(test: TestDepot, made: readonly Made[]): ReturnType<TestDepot['depot']['putBatch']> {
  const frames = made.map(({ nar }) => frameOf(nar))
  const entries = made.map(({ path: { narHash, narSize } }, at) => ({ narHash, narSize, bytes: frames[at]!.length }))
  const body = Buffer.concat([Buffer.from(`${JSON.stringify({ entries })}\n`), ...frames])
  return test.depot.putBatch({ bodyBytes: body.length, digest: digestOf(body), who: cat }, inChunks(body))
}

/** Commits until nothing is pending. */
export async function commit(
  test: TestDepot,
  made: readonly Made[],
  options: { readonly isAtomic?: boolean; readonly who?: Pusher } = {},
): Promise<readonly Committed[]> {
  const { isAtomic = true, who = cat } = options
  const paths = made.map(({ path: { file: _file, ...path } }) => path)
  for (;;) {
    const verdicts = await test.depot.commit({ paths, who, isAtomic, waitMs: 10_000 })
    if ('status' in verdicts) throw new Error(JSON.stringify(verdicts as Refusal))
    if (!verdicts.some(({ status }) => status === 'pending') || verdicts.some(({ status }) => status === 'incomplete'))
      return verdicts
  }
}
