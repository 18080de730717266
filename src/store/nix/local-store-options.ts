/** How this machine's Nix store is opened. */
import type { Clock } from '../../clock.ts'
import type { Log } from '../../log.ts'
import type { Decompressors } from '../../nar/decompress.ts'

export interface LocalStoreOptions {
  /** Logical, without a trailing slash. */
  readonly storeDir: string
  /** Directory of the files. */
  readonly realStoreDir: string
  /** `<stateDir>/db/db.sqlite` */
  readonly database: string
  /** By default that of the database. */
  readonly stateDir?: string
  /** By default `log/nix` beside the state directory (`/nix/var/nix` -> `/nix/var/log/nix`). */
  readonly logDir?: string
  /** For build logs: `bzip2`, without which those of Nix are absent. */
  readonly decompressors?: Decompressors
  /** By default `<stateDir>/daemon-socket/socket`; `undefined` given: no daemon, no leases. */
  readonly daemonSocket?: string | undefined
  readonly leases: {
    /** How long a path stays protected after its narinfo was served; 0 for never. */
    readonly narInfoSeconds: number
    readonly maxPaths: number
  }
  readonly log: Log
  readonly clock?: Clock
  /** 0 (inclusive) to 1. */
  readonly random?: () => number
}
