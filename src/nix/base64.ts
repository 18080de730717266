/**
 * Base64 as hashes, keys and signatures use it: the standard alphabet, padded, on one line, with the spare bits 0.
 * Node's own decoder takes nearly anything, so what it made of a text is held against that text.
 * Source: RFC 4648, section 4.
 */

/** Undefined unless the text is the one base64 form of some bytes. With `padding: 'optional'` the final `=` may be missing, as in SRI hashes. */
export function decodeBase64(text: string, padding: 'required' | 'optional' = 'required'): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64')
  const canonical = bytes.toString('base64')
  if (text === canonical) return bytes
  return padding === 'optional' && text === withoutPadding(canonical) ? bytes : undefined
}

function withoutPadding(canonical: string): string {
  return canonical.replace(/=+$/, '')
}
