/** Decodes the body of a reply to text. The size is limited, since a small body may decompress to a large one. */
import { brotliDecompressSync, gunzipSync, inflateSync, zstdDecompressSync } from 'node:zlib'

import type { HttpAnswer } from '../server/http-get.ts'

const maxOutputLength = 1024 * 1024

const decoders: Readonly<Record<string, (body: Buffer) => Buffer>> = {
  gzip: (body) => gunzipSync(body, { maxOutputLength }),
  'x-gzip': (body) => gunzipSync(body, { maxOutputLength }),
  deflate: (body) => inflateSync(body, { maxOutputLength }),
  br: (body) => brotliDecompressSync(body, { maxOutputLength }),
  zstd: (body) => zstdDecompressSync(body, { maxOutputLength }),
}

/** A body that cannot be decoded is returned as it is. */
export function textOf({ headers, body }: Pick<HttpAnswer, 'headers' | 'body'>): string {
  const decode = decoders[encodingOf(headers) ?? '']
  if (decode === undefined) return body.toString()
  try {
    return decode(body).toString()
  } catch {
    return body.toString()
  }
}

/** `undefined` if the body is not encoded. */
export function encodingOf(headers: Readonly<Record<string, string>>): string | undefined {
  const encoding = headers['content-encoding']?.trim().toLowerCase()
  return encoding === undefined || encoding === '' || encoding === 'identity' ? undefined : encoding
}
