/**
 * Realisation IDs: an output name and a derivation. The derivation is identified by its hash modulo, not by its path.
 *
 *     sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad!out
 *
 * Source: Nix, experimental feature `ca-derivations`, `DrvOutput`.
 */

export interface RealisationId {
  /** `sha256:` and 64 lower-case hex digits: `Realisations.drvPath` in the store's database. */
  readonly drvHash: string
  readonly outputName: string
}

const pattern = /^(sha256:[0-9a-f]{64})!([0-9A-Za-z+\-._?=]{1,211})$/

export function parseRealisationId(text: string): RealisationId | undefined {
  const parts = pattern.exec(text)
  return parts === null ? undefined : { drvHash: parts[1]!, outputName: parts[2]! }
}
