/** What goes over the line: zstd frames, and the digests that say whether they arrived whole. */
import { createHash } from 'node:crypto'
import { promisify } from 'node:util'
import { constants, zstdCompress } from 'node:zlib'

const compress = promisify(zstdCompress)

/** One zstd frame that says how many bytes it holds. */
export function compressFrame(bytes: Uint8Array, level: number): Promise<Buffer> {
  return compress(bytes, {
    pledgedSrcSize: bytes.byteLength,
    params: { [constants.ZSTD_c_compressionLevel]: level, [constants.ZSTD_c_contentSizeFlag]: 1 },
  })
}

/** RFC 9530: `sha-256=:<base64>:` */
export function contentDigest(body: Uint8Array): string {
  return `sha-256=:${createHash('sha256').update(body).digest('base64')}:`
}
