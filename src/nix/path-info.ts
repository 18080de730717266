/**
 * What a Nix store knows about a valid store object: its row in `ValidPaths` and its `Refs`, in the form that narinfos
 * and fingerprints use.
 * Source: Nix manual, "Store object information"; the schema of /nix/var/nix/db/db.sqlite.
 */

export interface PathInfo {
  /** Absolute logical path, `/nix/store/<hash part>-<name>`, wherever the files are on disk. */
  readonly storePath: string
  /** Hash of the uncompressed NAR, as `sha256:` and 52 Nix32 characters. */
  readonly narHash: string
  /** Size of the uncompressed NAR in bytes. */
  readonly narSize: number
  /** Absolute store paths, sorted bytewise. Includes the path itself if it refers to itself. */
  readonly references: readonly string[]
  /** Absolute path of the derivation, which may itself be invalid. */
  readonly deriver: string | undefined
  /** `name:base64`, in the store's order, without duplicates. */
  readonly signatures: readonly string[]
  /** The `CA` field (`text:sha256:…`, `fixed:r:sha256:…`) of a content-addressed path. */
  readonly contentAddress: string | undefined
  /** Unix time in seconds. */
  readonly registrationTime: number
  /** True if the path was built on this machine rather than copied to it. */
  readonly ultimate: boolean
}
