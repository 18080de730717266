/**
 * What the edge's cache may keep, and for how long. Sources: Cloudflare's "Default cache behavior", "Origin Cache
 * Control", "CDN-Cache-Control".
 */
import { find, type HeaderLines } from './reply-head.ts'

/** Cloudflare's list. No nar, narinfo, xz, ls or drv; but zst, gz and bz2. */
const cachedExtensions = new Set(
  (
    '7z avi avif apk bin bmp bz2 class css csv dmg doc docx ejs eot eps exe flac gif gz ico iso jar jpg jpeg js mid midi mkv mp3 mp4 ogg otf pdf pict pls png ppt pptx ps rar svg svgz swf ' +
    'tar tif tiff ttf webm webp woff woff2 xls xlsx zip zst'
  ).split(' '),
)

/** Seconds for a reply without any Cache-Control or Expires; every other status is then not kept. */
const defaultTtl: Readonly<Record<number, number>> = {
  200: 7200,
  206: 7200,
  301: 7200,
  302: 1200,
  303: 1200,
  404: 180,
  410: 180,
}

/** A dashboard rule. */
export interface CacheRule {
  /** `everything` makes each path eligible ("Cache Everything"), `nothing` none ("Bypass cache"). */
  readonly eligible: 'everything' | 'nothing' | 'by-extension'
  /** "Ignore cache-control header and use this TTL": keeps even what the origin calls private. */
  readonly edgeTtlSeconds?: number
}

export function isEligible(path: string, rule: CacheRule): boolean {
  if (rule.eligible !== 'by-extension') return rule.eligible === 'everything'
  const [file] = path.split(/[?#]/)
  const extension = /\.([a-z0-9]+)$/i.exec(file ?? '')?.[1]
  return extension !== undefined && cachedExtensions.has(extension.toLowerCase())
}

/** Seconds the reply may be kept; `undefined` when it must not be. */
export function timeToLive(
  status: number,
  headers: HeaderLines,
  hasAuthorization: boolean,
  rule: CacheRule,
  now: number,
): number | undefined {
  if (status >= 500) return undefined
  if (rule.edgeTtlSeconds !== undefined) return rule.edgeTtlSeconds
  if (find(headers, 'set-cookie') !== undefined) return undefined
  const text =
    find(headers, 'cloudflare-cdn-cache-control') ??
    find(headers, 'cdn-cache-control') ??
    find(headers, 'cache-control')
  const directives = parseCacheControl(text ?? '')
  if (['private', 'no-store', 'no-cache'].some((name) => directives.has(name))) return undefined
  // Origin Cache Control's rule, after RFC 9111 section 3.5.
  if (hasAuthorization && !['public', 's-maxage', 'must-revalidate'].some((name) => directives.has(name)))
    return undefined
  const age = directives.get('s-maxage') ?? directives.get('max-age')
  const seconds =
    age === undefined ? expiresIn(text === undefined ? find(headers, 'expires') : undefined, now) : Number(age)
  const ttl = seconds ?? defaultTtl[status]
  return ttl !== undefined && ttl > 0 ? ttl : undefined
}

export function parseCacheControl(text: string): Map<string, string> {
  const directives = new Map<string, string>()
  for (const part of text.split(',')) {
    const [name, value] = part.trim().split('=', 2)
    if (name) directives.set(name.toLowerCase(), (value ?? '').replaceAll('"', ''))
  }
  return directives
}

/** Seconds until an Expires date, 0 for one that is none. */
function expiresIn(expires: string | undefined, now: number): number | undefined {
  if (expires === undefined) return undefined
  // `0` and `-1` mean the past, but parse as years.
  const at = expires.includes(' ') ? Date.parse(expires) : Number.NaN
  return Number.isNaN(at) ? 0 : Math.max(0, Math.floor((at - now) / 1000))
}
