/**
 * Random passwords and names of letters and digits only, so that they need no quoting in netrc, JSON or a shell.
 */
import { randomInt } from 'node:crypto'

const lettersAndDigits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'

/** 32 characters: 190 bits. */
export function createPassword(): string {
  return pick(lettersAndDigits, 32)
}

/**
 * A name for a signing key, `burrow-nas-4kq8zt-1`: Nix knows keys by name alone, so two boxes of one host name must not
 * share it; the number is there to be counted up when the key is changed.
 */
export function createKeyName(hostName: string): string {
  const host = hostName
    .split('.')[0]!
    .toLowerCase()
    .replaceAll(/[^a-z0-9-]/g, '')
  return ['burrow', host, pick('abcdefghijkmnpqrstuvwxyz23456789', 6), '1'].filter((part) => part !== '').join('-')
}

function pick(alphabet: string, length: number): string {
  return Array.from({ length }, () => alphabet[randomInt(alphabet.length)]).join('')
}
