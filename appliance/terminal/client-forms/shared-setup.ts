/**
 * What the forms for files that many people read have in common: a NixOS configuration, a flake and a workflow are kept
 * in Git, and come into the Nix store. So they are made from a setup that has no password.
 */
import { type ClientSetup, formatNetrcEntry, unknownUrl } from '../client-setup.ts'

export interface SharedSetup {
  readonly url: string
  readonly storeDir: string
  readonly publicKeys: readonly string[]
  /** The login's name; `undefined` on a public cache. */
  readonly userName: string | undefined
  /** Whether to say how to push. */
  readonly withPush: boolean
}

export function toSharedSetup({ url, storeDir, publicKeys, login }: ClientSetup, withPush: boolean): SharedSetup {
  return { url: url ?? unknownUrl, storeDir, publicKeys, userName: login?.name, withPush }
}

/** Lines of a comment, without their `#`. */
export function listNotes({ url, storeDir, publicKeys }: SharedSetup): readonly string[] {
  return [
    ...(isOfThisMachine(url)
      ? [`${url} is the address on this machine only: give the public one with "burrow client-config --url".`]
      : []),
    ...(publicKeys.length === 0
      ? ['This cache does not sign: clients must trust the keys with which its paths are already signed.']
      : []),
    ...(storeDir === '/nix/store'
      ? []
      : [`This cache serves ${storeDir}: only clients with the same store directory can use it.`]),
  ]
}

export function netrcExample({ url, userName }: SharedSetup): string | undefined {
  return userName === undefined ? undefined : formatNetrcEntry(url, { name: userName, password: undefined })
}

/** No text breaks out of a comment: names of users have no control characters, and other line ends become spaces. */
export function toComment(lines: readonly string[], indent = ''): string {
  return lines.map((line) => `${indent}# ${line.replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]/gu, ' ')}\n`).join('')
}

function isOfThisMachine(url: string): boolean {
  return /^\[::1\]$|^127\.|^localhost$/.test(new URL(url).hostname)
}
