/**
 * The client's configuration for this cache: a substituter and a key into nix.conf, a name and a password into
 * netrc. netrc knows hosts without ports (one entry serves every port), and the first entry that matches wins.
 */
import { formatNetrcLine, outageSettings } from '../../src/index.ts'

export interface ClientSetup {
  /**
   * As clients reach the cache, without credentials. `undefined`: not known here, since the listener is a unix socket.
   */
  readonly url: string | undefined
  readonly storeDir: string
  /** `name:base64` each. */
  readonly publicKeys: readonly string[]
  /** `undefined` on a public cache. */
  readonly login: Login | undefined
}

export interface Login {
  readonly name: string
  /** `undefined`: not known (only its hash is), or not to be shown here. */
  readonly password: string | undefined
}

/** In place of an address that is not known here. */
export const unknownUrl = 'https://CACHE.EXAMPLE.ORG'

/** Ready to paste, with a comment line above each part saying where it goes. Ends with a line break. */
export function formatClientSetup({ url = unknownUrl, storeDir, publicKeys, login }: ClientSetup): string {
  const lines = [
    '# /etc/nix/nix.conf of each client (NixOS: nix.settings); restart its nix-daemon afterwards',
    `extra-substituters = ${url}`,
  ]
  lines.push(
    publicKeys.length > 0
      ? `extra-trusted-public-keys = ${publicKeys.join(' ')}`
      : '# This cache does not sign: clients must trust the keys with which its paths are already signed.',
  )
  lines.push(...outageSettings)
  if (storeDir !== '/nix/store')
    lines.push(`# This cache serves ${storeDir}: only clients with the same store directory can use it.`)
  if (login !== undefined) lines.push('', ...netrcLines(url, login))
  return `${lines.join('\n')}\n`
}

/** The netrc entry alone. Ends with a line break. */
export function formatLoginSetup(url: string | undefined, login: Login): string {
  return `${netrcLines(url ?? unknownUrl, login).join('\n')}\n`
}

function netrcLines(url: string, { name, password }: Login): string[] {
  const head =
    '# /etc/nix/netrc of each client, mode 0600: its nix-daemon (root) reads it; for "nix copy" name a file you can read with --netrc-file'
  const hint = password === undefined ? ['# Replace PASSWORD with the password: it is not known here.'] : []
  return [head, ...hint, formatNetrcEntry(url, { name, password })]
}

/** One line, with the word PASSWORD where the password is not known. */
export function formatNetrcEntry(url: string, { name, password }: Login): string {
  return formatNetrcLine(url, name, password ?? 'PASSWORD')
}

/** For those who may push; follows the netrc entry. Ends with a line break. */
export function formatPushSetup({ url = unknownUrl }: Pick<ClientSetup, 'url'>): string {
  const isTunnelled = url.startsWith('https:')
  const limit = isTunnelled ? ', for paths below 100 MB compressed (the edge refuses larger requests)' : ''
  return `# To push: on the machine that has the paths, with the netrc entry above in ~/.netrc (mode 0600). It sends what is missing, and continues where it was interrupted.
burrow push --to ${url} ./result
# It comes with a checkout of Burrow, or as "npx nix-burrow push" (Node 20 or newer).
# Without it${limit}:
nix --extra-experimental-features nix-command copy --netrc-file ~/.netrc --to '${url}?compression=zstd' ./result
`
}

/** The URL as clients are to write it, or `undefined` when it is none: http or https, no credentials, no query. */
export function parseCacheUrl(text: string): string | undefined {
  if (!URL.canParse(text)) return undefined
  const url = new URL(text)
  if (
    !['http:', 'https:'].includes(url.protocol) ||
    url.username !== '' ||
    url.password !== '' ||
    url.search !== '' ||
    url.hash !== ''
  )
    return undefined
  return url.pathname === '/' ? url.origin : url.href.replace(/\/+$/, '')
}
