/**
 * Host names as DNS and certificates have them (RFC 1123): letters, digits, hyphens, dots; no port, no wildcard, no
 * final dot.
 */
export function isHostname(text: string): boolean {
  return text.length <= 253 && text.split('.').every((label) => /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/i.test(label))
}
