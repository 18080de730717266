/** The configuration that the program uses: valid, complete, frozen, with absolute paths. See load-config.ts. */
import type { Contact, DepotPolicy, Limits, PublishPolicy } from '../../src/index.ts'
import type { TunnelSettings } from '../tunnel/settings.ts'
import type { ListenAddress } from './listen-address.ts'
import type { ConfigFile } from './schema.ts'

export interface Config {
  /** Absolute; `undefined` if there is no file and the defaults are used. */
  readonly file: string | undefined
  readonly listen: ListenAddress
  readonly operator: OperatorConfig | undefined
  /** `undefined`: loopback only. */
  readonly tunnel: TunnelSettings | undefined
  /** Cloudflare Access in front of the host. */
  readonly cloudflareAccess: { readonly teamDomain: string; readonly audience: string } | undefined
  /** For files that are only needed while Burrow runs: sockets, the connector's config. */
  readonly runtimeDir: string
  readonly access: AccessConfig
  /** Users can be added beside those of the config; see users/team.ts. */
  readonly mutableUsers: boolean
  readonly signing: SigningConfig
  readonly priority: number
  readonly wantMassQuery: boolean
  readonly store: StoreConfig
  /** `undefined`: all its paths are served. */
  readonly publish: PublishPolicy | undefined
  /** Additional stores, asked after it. */
  readonly stores: readonly DirectoryStoreConfig[]
  /** `undefined`: nothing can be pushed. */
  readonly depot: DepotConfig | undefined
  readonly upstreams: readonly UpstreamConfig[]
  readonly compression: { readonly type: 'zstd'; readonly level: number } | { readonly type: 'none' }
  /** `undefined`: there is no larder. */
  readonly larder: { readonly dir: string; readonly maxBytes: number; readonly deltas: boolean } | undefined
  readonly state: { readonly dir: string }
  /** `true`: the built-in page. */
  readonly indexPage: boolean | { readonly file: string }
  /** Whom users can ask. */
  readonly contact: Contact | undefined
  readonly edgeCache: 'deny' | 'allow'
  readonly log: ConfigFile['log']
  readonly limits: Limits
  readonly leases: ConfigFile['leases']
  /** `undefined`: nothing is recorded. */
  readonly analytics: { readonly keepDays: number; readonly keepAddressesDays: number } | undefined
}

/** `isDefault`: it is not in the config, so Burrow starts even if it cannot be opened. */
export interface OperatorConfig {
  readonly address: ListenAddress
  readonly isDefault: boolean
}

/** `generated`: one user, generated at the first start and stored in the state directory. */
export type AccessConfig =
  | { readonly kind: 'public' }
  | { readonly kind: 'generated' }
  | { readonly kind: 'users'; readonly users: readonly UserConfig[] }

export interface UserConfig {
  readonly pointer: string
  readonly name: string
  readonly secret:
    | { readonly kind: 'plain'; readonly password: string }
    | { readonly kind: 'argon2id'; readonly hash: string }
    | { readonly kind: 'file'; readonly file: string }
  readonly access: readonly ('pull' | 'push' | 'admin')[]
  readonly expires: Date | undefined
}

export interface SigningConfig {
  /** `undefined`: the key generated at the first start and stored in the state directory. */
  readonly keyFiles: readonly string[] | undefined
  readonly name: string | undefined
}

/** All absolute. */
export interface StoreConfig {
  readonly dir: string
  readonly realDir: string
  readonly stateDir: string
  readonly database: string
  readonly logDir: string
  readonly daemonSocket: string | undefined
}

/** A binary cache directory, as `nix copy --to file://` creates it. */
export interface DirectoryStoreConfig {
  readonly type: 'directory'
  /** Absolute. */
  readonly dir: string
}

export interface DepotConfig {
  /** Absolute. */
  readonly dir: string
  readonly maxBytes: number
  readonly keepFree: number
  /** The rest of the policy is fixed. */
  readonly policy: Omit<
    DepotPolicy,
    'adoptionWaitMs' | 'keepPushedMs' | 'keepUnfinishedMs' | 'leaseMs' | 'unfinishedBytesPerUser'
  >
  /** Limit for a NAR that `nix copy` sends; `undefined`: no limit. */
  readonly maxBodyBytes: number | undefined
}

export interface UpstreamConfig {
  readonly url: URL
  readonly publicKeys: readonly string[]
  readonly mode: 'on-miss' | 'always'
  readonly keep: boolean
  readonly user: string | undefined
  /** Absolute. */
  readonly passwordFile: string | undefined
}
