/** Where scripts/bundle.mjs puts what it makes: dist/bundles, in the folder of the program, be that a checkout, a built package or Nix's. */
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** Undefined where it was not made. */
export function findBundle(name: 'client' | 'cloudflare'): string | undefined {
  for (let dir = import.meta.dirname; dir !== dirname(dir); dir = dirname(dir)) {
    if (existsSync(join(dir, 'package.json'))) return [join(dir, 'dist/bundles', `${name}.mjs`)].find(existsSync)
  }
  return undefined
}
