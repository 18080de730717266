/**
 * Which paths of this machine's store are published. All rules must hold, for a path and for everything it refers to:
 * a client that gets a path can get its whole closure, and no narinfo names a path that is not published.
 */
export interface PublishPolicy {
  /**
   * Only these paths and what they refer to: store paths, links to them, and directories of links; absolute. Undefined:
   * all paths.
   */
  readonly roots: readonly string[] | undefined
  /** Globs (name-glob.ts); no path whose name matches one. */
  readonly deny: readonly string[]
  /** Public keys; only paths with a valid signature by one of them. Undefined: any path. */
  readonly signedBy: readonly string[] | undefined
}

/** Where the store is: what a thread needs to read it by itself. */
export interface StorePlace {
  /** Logical, without a trailing slash. */
  readonly storeDir: string
  readonly realStoreDir: string
  /** `…/db/db.sqlite` */
  readonly database: string
}

/** A root that cannot be used: it publishes nothing. */
export interface RootProblem {
  readonly root: string
  /** Completes "it": `does not exist`. */
  readonly problem: string
}

/** How the set of published paths is, for status, metrics and `burrow doctor`. */
export interface PublishedHealth {
  /** `starting`: not known yet, so nothing is served. `failed`: as well, since the rules cannot be applied. */
  readonly state: 'starting' | 'current' | 'failed'
  readonly paths: number
  /** Valid paths of the store, published or not. */
  readonly ofPaths: number
  readonly rootProblems: readonly RootProblem[]
}
