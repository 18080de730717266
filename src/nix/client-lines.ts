/** Lines for a client's nix.conf and netrc. netrc knows hosts without ports: one entry is for every port. */

/**
 * Without "fallback" Nix fails a build when a narinfo is answered with 5xx, which is what the edge does (530) while the
 * tunnel is down. The attempts span about 20 s, in which a tunnel that was lost is back; the longest silence is longer
 * than "firstByteSeconds", since Nix counts the wait for the first byte too.
 */
export const outageValues = {
  fallback: true,
  'connect-timeout': 5,
  'download-attempts': 7,
  'stalled-download-timeout': 120,
} as const

/** Nix remembers for an hour that a path is absent; after an outage, and after a push, it should ask again sooner. */
export const memoryValues = { 'narinfo-cache-negative-ttl': 300 } as const

export const outageSettings: readonly string[] = [
  '# While the cache cannot be reached, Nix builds without it. Nix 2.8 has a bug: it aborts instead ("SubstituterDisabled"). Then build with: --option substituters https://cache.nixos.org',
  ...formatSettings(outageValues),
  '# Nix remembers for an hour that a path is absent; after an outage, and after a push, it should ask again sooner.',
  ...formatSettings(memoryValues),
]

/** Lines of nix.conf. */
export function formatSettings(values: Readonly<Record<string, string | number | boolean>>): string[] {
  return Object.entries(values).map(([name, value]) => `${name} = ${value}`)
}

/** libcurl compares with the host name alone, an IPv6 address without its brackets. */
export function hostOf(url: string): string {
  return new URL(url).hostname.replace(/^\[(.*)\]$/, '$1')
}

/** Quotes only where they are needed: libcurl before 7.84 does not know them. */
export function quoteToken(token: string): string {
  return /^[^\s"\\#][^\s"\\]*$/.test(token) ? token : `"${token.replaceAll(/["\\]/g, '\\$&')}"`
}

export function formatNetrcLine(url: string, name: string, password: string): string {
  return `machine ${hostOf(url)} login ${quoteToken(name)} password ${quoteToken(password)}`
}
