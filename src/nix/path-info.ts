/**
 * What a Nix store knows of one valid store object: the row of `ValidPaths` with its `Refs`,
 * in the form the narinfo and the fingerprint are made from.
 * Source: Nix manual, "Store object information"; the schema of /nix/var/nix/db/db.sqlite.
 */

export interface PathInfo {
  /** Absolute and logical: `/nix/store/<hash part>-<name>`, wherever the files really lie. */
  readonly storePath: string
  /** `sha256:` and 52 Nix32 characters: the hash of the uncompressed NAR. */
  readonly narHash: string
  /** Bytes of the uncompressed NAR. */
  readonly narSize: number
  /** Absolute store paths, sorted bytewise, itself among them when it refers to itself. */
  readonly references: readonly string[]
  /** Absolute path of the derivation; it need not be valid itself. */
  readonly deriver: string | undefined
  /** `name:base64`, in the store's order, without repetitions. */
  readonly signatures: readonly string[]
  /** The `CA` field (`text:sha256:…`, `fixed:r:sha256:…`) of a content-addressed path. */
  readonly contentAddress: string | undefined
  /** Seconds since 1970. */
  readonly registrationTime: number
  /** Built on this machine rather than copied to it. */
  readonly ultimate: boolean
}
