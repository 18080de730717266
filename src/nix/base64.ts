/**
 * Strict base64 for hashes, keys and signatures: standard alphabet, padded, one line, unused bits zero.
 * Node's decoder accepts almost anything, so the decoded bytes are encoded again and compared with the input.
 * Source: RFC 4648, section 4.
 */

/**
 * Returns undefined unless `text` is the canonical base64 of some bytes. With `padding: 'optional'` the trailing `=`
 * may be missing, as in SRI hashes.
 */
export function decodeBase64(text: string, padding: 'required' | 'optional' = 'required'): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64')
  const canonical = bytes.toString('base64')
  if (text === canonical) return bytes
  return padding === 'optional' && text === withoutPadding(canonical) ? bytes : undefined
}

function withoutPadding(canonical: string): string {
  return canonical.replace(/=+$/, '')
}
