/**
 * The `Range` request header, limited to what cache clients send: one range, `bytes=a-b`, `bytes=a-` or `bytes=-n` (RFC
 * 9110, section 14).
 */
import type { ByteRange } from '../../chunks.ts'

/**
 * `undefined`: no range that we support (none, several, another unit, malformed); send the whole body. `unsatisfiable`:
 * answer 416. Otherwise a half-open range within `[0, size)`.
 */
export function parseRange(header: string | undefined, size: number): ByteRange | 'unsatisfiable' | undefined {
  if (header === undefined) return undefined
  const [, first, last] = /^bytes=(\d{0,15})-(\d{0,15})$/i.exec(header.trim()) ?? []
  if (first === undefined || last === undefined || (first === '' && last === '')) return undefined
  if (first === '') {
    const length = Number(last)
    return length === 0 || size === 0 ? 'unsatisfiable' : { start: Math.max(0, size - length), end: size }
  }
  const start = Number(first)
  const end = last === '' ? size : Math.min(size, Number(last) + 1)
  if (last !== '' && Number(last) < start) return undefined
  return start >= size ? 'unsatisfiable' : { start, end }
}
