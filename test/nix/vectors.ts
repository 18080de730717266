/** The closure of test/vectors/signed-closure.json, converted to this project's types. */
import { readFileSync } from 'node:fs'

import { toNix32Sha256 } from '../../src/nix/hash.ts'
import type { PathInfo } from '../../src/nix/path-info.ts'
import type { NixPathInfo } from '../fixtures/nix.ts'

interface Vectors {
  readonly secretKey: string
  readonly publicKey: string
  readonly paths: readonly {
    readonly pathInfo: NixPathInfo
    readonly databaseHash: string
    readonly narInfos: { readonly none: string; readonly xz: string }
    readonly xzJson: object
  }[]
}

export const signedClosure: Vectors = JSON.parse(
  readFileSync(new URL('../vectors/signed-closure.json', import.meta.url), 'utf8'),
)

/** What a store would know about the path. Includes Nix's own signatures by default. */
export function toPathInfo(info: NixPathInfo, databaseHash: string, signatures = info.signatures ?? []): PathInfo {
  return {
    storePath: info.path,
    narHash: toNix32Sha256(databaseHash)!,
    narSize: info.narSize,
    references: [...info.references].sort(),
    deriver: info.deriver,
    signatures,
    contentAddress: info.ca,
    registrationTime: info.registrationTime ?? 0,
    ultimate: info.ultimate ?? false,
  }
}
