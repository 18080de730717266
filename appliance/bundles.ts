/**
 * Where scripts/bundle.mjs puts what it makes: dist/bundles, in the folder of the program, be that a checkout, a built
 * package or Nix's.
 */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'

/** Undefined where it was not made. */
export function findBundle(name: 'client' | 'cloudflare'): string | undefined {
  for (let dir = import.meta.dirname; dir !== dirname(dir); dir = dirname(dir)) {
    if (existsSync(join(dir, 'package.json'))) return [join(dir, 'dist/bundles', `${name}.mjs`)].find(existsSync)
  }
  return undefined
}

/** As it is now: an upgrade replaces it. */
export async function readClientProgram(): Promise<Uint8Array | undefined> {
  const bundle = findBundle('client')
  return bundle === undefined ? undefined : await readFile(bundle)
}
