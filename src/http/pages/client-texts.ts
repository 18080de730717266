/** What a client needs for this cache, as texts to copy: by system, with the login filled in. */
import {
  formatNetrcLine,
  formatSettings,
  hostOf,
  memoryValues,
  outageValues,
  quoteToken,
} from '../../nix/client-lines.ts'
import { formatNixValue } from '../../nix/nix-value.ts'

export interface ClientFacts {
  /** As clients reach the cache. */
  readonly url: string
  readonly publicKeys: readonly string[]
  readonly name: string
  readonly password: string
}

const settings = formatSettings({ ...outageValues, ...memoryValues })

export function nixConf({ url, publicKeys }: ClientFacts): string {
  return [`extra-substituters = ${url}`, ...keyLines(publicKeys), ...settings].join('\n')
}

export function netrc({ url, name, password }: ClientFacts): string {
  return formatNetrcLine(url, name, password)
}

/** For NixOS and nix-darwin. `hasLogin`: false on a public cache. */
export function nixModule({ url, publicKeys }: Pick<ClientFacts, 'url' | 'publicKeys'>, hasLogin: boolean): string {
  return [
    'nix.settings = {',
    `  extra-substituters = ${formatNixValue([url])};`,
    ...(publicKeys.length === 0 ? [] : [`  extra-trusted-public-keys = ${formatNixValue(publicKeys)};`]),
    ...(hasLogin ? ['  netrc-file = "/etc/nix/netrc";'] : []),
    ...settings.map((line) => `  ${line};`),
    '};',
  ].join('\n')
}

export function relayModule({ url, publicKeys }: ClientFacts): string {
  return [
    'services.burrow-client = {',
    '  enable = true;',
    `  url = ${formatNixValue(url)};`,
    `  publicKeys = ${formatNixValue(publicKeys)};`,
    '  relay.enable = true;',
    '};',
  ].join('\n')
}

/** Steps of a job; the password is in the variable that the job gets from its secrets. */
export function ciSteps(facts: ClientFacts): string {
  const { url, name } = facts
  return [
    '# As root, before the first Nix command. $BURROW_PASSWORD comes from the secrets of the job.',
    `(umask 077; echo "machine ${hostOf(url)} login ${quoteToken(name)} password $BURROW_PASSWORD" >> /etc/nix/netrc)`,
    "cat >> /etc/nix/nix.conf <<'END'",
    nixConf(facts),
    'END',
  ].join('\n')
}

function keyLines(publicKeys: readonly string[]): string[] {
  return publicKeys.length === 0
    ? ['# This cache does not sign: trust the keys with which its paths are already signed.']
    : [`extra-trusted-public-keys = ${publicKeys.join(' ')}`]
}
