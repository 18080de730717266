/** A public hostname from an untrusted source (the connector, the edge): accepted only if it is well-formed. */

const label = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/

/** Lower-case, at least two labels (RFC 1123, 253 characters); `undefined` for anything else, an address among it. */
export function parsePublicName(value: unknown): string | undefined {
  if (typeof value !== 'string' || value.length > 253) return undefined
  const name = value.toLowerCase()
  const labels = name.split('.')
  const isName = labels.length >= 2 && labels.every((part) => label.test(part)) && !/^\d+$/.test(labels.at(-1) ?? '')
  return isName ? name : undefined
}

/** Does an ingress rule's hostname (`cache.example.com`, `*.example.com`) cover this one? */
export function coversName(pattern: string, name: string): boolean {
  const rule = pattern.toLowerCase()
  return rule.startsWith('*.') ? name.endsWith(rule.slice(1)) && name.length > rule.length - 1 : rule === name
}
