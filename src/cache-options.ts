/** What a cache is opened with. */
import type { Visitors } from './http/auth/strategies.ts'
import type { User } from './http/auth/user.ts'
import type { Observer } from './http/observer.ts'
import type { IndexPage, Limits } from './http/origin.ts'
import type { Contact } from './http/pages/contact.ts'
import type { NixUploadsOptions } from './http/push/nix-uploads.ts'
import type { ReadClientProgram } from './http/routes/client-program.ts'
import type { ServiceStatus } from './http/site-status.ts'
import type { Team } from './http/team.ts'
import type { Usage } from './http/usage.ts'
import type { Log } from './log.ts'
import type { SecretKey } from './nix/secret-key.ts'
import type { Store } from './store/store.ts'

/** What a reload may change while requests are under way. */
export interface Reloadable {
  /** Every key signs every narinfo. */
  readonly signing: readonly SecretKey[]
  /** Undefined: everybody may read. */
  readonly users: readonly User[] | undefined
  /** At `/`; undefined: the built-in page; false: none. */
  readonly indexPage: IndexPage | false | undefined
  /** Whom users can ask: shown on pages and in errors, to everybody. */
  readonly contact?: Contact | undefined
}

export interface CacheOptions extends Reloadable {
  /**
   * In the order in which they are asked; at least one, all with the same store directory. Closed by the caller, after
   * the cache.
   */
  readonly stores: readonly Store[]
  /** Of this program. */
  readonly version: string
  /** Of the runtime's zstd (`process.versions.zstd`): compressed bytes depend on it, and so do their URLs. */
  readonly zstdVersion: string
  /** Undefined: nothing can be pushed. The depot is one of `stores`. */
  readonly pushes?: NixUploadsOptions | undefined
  /** The file that /v1/client.mjs gives; without it there is none. */
  readonly readClientProgram?: ReadClientProgram
  readonly priority: number
  readonly wantMassQuery: boolean
  readonly compression: { readonly type: 'zstd'; readonly level: number } | { readonly type: 'none' }
  /** Where compressed NARs are kept; `maxBytes` 0 keeps none. Not used without compression. */
  readonly larder: {
    readonly dir: string
    readonly maxBytes: number
    /** Send updates as deltas to relays; true by default. */
    readonly deltas?: boolean
  }
  /** Whether an edge cache may keep replies; for a public cache only. */
  readonly edgeCache: 'allow' | 'deny'
  readonly limits: Limits
  /** Lets people with browsers in without a password, on `/`, listings and build logs alone. */
  readonly visitors?: Visitors | undefined
  /** Users and invitations that change while the cache runs; without it, users come from `users` alone. */
  readonly team?: Team | undefined
  /** For the pages; undefined while it is not known. */
  readonly readService?: () => ServiceStatus | undefined
  readonly log: Log
  readonly observer: Observer
  /** Undefined: usage figures are not recorded. */
  readonly usage?: Usage | undefined
}
