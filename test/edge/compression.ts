/**
 * Content-Encoding between edge and eyeball. For a fixed list of types the edge compresses what the origin did not, and
 * it decodes what the origin compressed for an eyeball that takes none; both lose Content-Length and weaken the ETag.
 * `Cache-Control: no-transform` prevents it. Source:
 * https://developers.cloudflare.com/speed/optimization/content/compression/
 */
import type { Transform } from 'node:stream'
import { createBrotliCompress, createBrotliDecompress, createGunzip, createGzip } from 'node:zlib'

import { parseCacheControl } from './cache-policy.ts'
import { find, type HeaderLines, type ReplyHead, withHeader, without } from './reply-head.ts'

const compressedTypes = new Set([
  ...[
    'html',
    'richtext',
    'plain',
    'css',
    'x-script',
    'x-component',
    'x-java-source',
    'x-markdown',
    'javascript',
    'js',
    'xml',
  ].map((name) => `text/${name}`),
  ...[
    'javascript',
    'x-javascript',
    'x-perl',
    'x-httpd-cgi',
    'xml',
    'rss+xml',
    'vnd.api+json',
    'x-protobuf',
    'json',
    'xhtml+xml',
    'wasm',
    'manifest+json',
    'ld+json',
    'graphql+json',
    'geo+json',
  ].map((name) => `application/${name}`),
  ...[
    'image/x-icon',
    'image/vnd.microsoft.icon',
    'image/svg+xml',
    'multipart/bag',
    'multipart/mixed',
    'font/ttf',
    'font/otf',
  ],
])

type Encoding = 'gzip' | 'br'
/** Bytes below which compressing is not worth it. */
const smallest: Readonly<Record<Encoding, number>> = { gzip: 48, br: 50 }

export interface Recoding {
  readonly head: ReplyHead
  /** `undefined`: the body passes as it is. */
  readonly createTransform: (() => Transform) | undefined
}

export function recode(head: ReplyHead, acceptEncoding: string | undefined): Recoding {
  const { status, headers } = head
  const untouched: Recoding = { head, createTransform: undefined }
  if (parseCacheControl(find(headers, 'cache-control') ?? '').has('no-transform')) return untouched
  const encoding = find(headers, 'content-encoding')?.toLowerCase()
  if (encoding !== undefined) return decodeFor(head, encoding, acceptEncoding) ?? untouched
  // Of the errors only these two; and a part of a body cannot be compressed.
  if (!(status === 200 || status === 403 || status === 404)) return untouched
  const type = find(headers, 'content-type')?.split(';')[0]?.trim().toLowerCase()
  const wanted = chooseEncoding(acceptEncoding)
  if (!type || !compressedTypes.has(type) || !wanted) return untouched
  const length = find(headers, 'content-length')
  if (length !== undefined && Number(length) < smallest[wanted]) return untouched
  const recoded = withHeader(withHeader(weaken(headers), 'Content-Encoding', wanted), 'Vary', 'Accept-Encoding')
  return { head: { status, headers: recoded }, createTransform: wanted === 'br' ? createBrotliCompress : createGzip }
}

function decodeFor(
  { status, headers }: ReplyHead,
  encoding: string,
  acceptEncoding: string | undefined,
): Recoding | undefined {
  if ((encoding !== 'gzip' && encoding !== 'br') || accepts(acceptEncoding, encoding) || status === 206)
    return undefined
  return {
    head: { status, headers: without(weaken(headers), 'content-encoding') },
    createTransform: encoding === 'br' ? createBrotliDecompress : createGunzip,
  }
}

function weaken(headers: HeaderLines): HeaderLines {
  return without(headers, 'content-length', 'accept-ranges').map(([name, value]) =>
    name.toLowerCase() === 'etag' && !value.startsWith('W/') ? [name, `W/${value}`] : [name, value],
  )
}

function chooseEncoding(acceptEncoding: string | undefined): Encoding | undefined {
  return (['br', 'gzip'] as const).find((encoding) => accepts(acceptEncoding, encoding))
}

function accepts(acceptEncoding: string | undefined, encoding: Encoding): boolean {
  return (acceptEncoding ?? '').split(',').some((part) => {
    const [name, ...parameters] = part.split(';').map((text) => text.trim().toLowerCase())
    const quality = parameters.find((text) => text.startsWith('q='))
    return name === encoding && (quality === undefined || Number(quality.slice(2)) > 0)
  })
}
