/** The configuration as the program uses it: checked, complete, paths absolute, frozen. `load-config.ts` makes it. */
import type { DepotPolicy } from '../../src/index.ts'
import type { TunnelSettings } from '../tunnel/settings.ts'
import type { ListenAddress } from './listen-address.ts'
import type { ConfigFile } from './schema.ts'

export interface Config {
  /** Absolute; `undefined` when there is none and the defaults hold. */
  readonly file: string | undefined
  readonly listen: ListenAddress
  readonly operator: OperatorConfig | undefined
  /** `undefined`: loopback only. */
  readonly tunnel: TunnelSettings | undefined
  /** Cloudflare Access, when it stands in front. */
  readonly cloudflareAccess: { readonly teamDomain: string; readonly audience: string } | undefined
  /** Where files that need not outlive a start lie: sockets, the connector's config. */
  readonly runtimeDir: string
  readonly access: AccessConfig
  readonly signing: SigningConfig
  readonly priority: number
  readonly wantMassQuery: boolean
  readonly store: StoreConfig
  /** Further stores, asked after it. */
  readonly stores: readonly DirectoryStoreConfig[]
  /** `undefined`: nothing can be pushed. */
  readonly depot: DepotConfig | undefined
  readonly upstreams: readonly UpstreamConfig[]
  readonly compression: { readonly type: 'zstd'; readonly level: number } | { readonly type: 'none' }
  /** `undefined`: nothing is kept. */
  readonly larder: { readonly dir: string; readonly maxBytes: number; readonly deltas: boolean } | undefined
  readonly state: { readonly dir: string }
  /** `true`: the built-in page. */
  readonly indexPage: boolean | { readonly file: string }
  readonly edgeCache: 'deny' | 'allow'
  readonly log: ConfigFile['log']
  readonly limits: ConfigFile['limits']
  readonly leases: ConfigFile['leases']
}

/** Whether somebody asked for it: the listener that is there by default may fail without stopping the rest. */
export interface OperatorConfig {
  readonly address: ListenAddress
  readonly isDefault: boolean
}

/** `generated`: one user made at the first start and kept in the state directory. */
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
  /** `undefined`: the key made at the first start and kept in the state directory. */
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

/** A binary cache folder, as `nix copy --to file://` makes it. */
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
  /** The rest of the policy is not to be set. */
  readonly policy: Omit<DepotPolicy, 'adoptionWaitMs' | 'keepPushedMs' | 'leaseMs'>
  /** Of a NAR that stock Nix sends; `undefined`: no limit. */
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
