import type { IndexPage } from './origin.ts'

/** What the small routes return. Read for each request, since a reload of the configuration changes it. */
export interface Particulars {
  readonly version: string
  readonly priority: number
  readonly wantMassQuery: boolean
  /** `name:base64`, one for each secret key. */
  readonly publicKeys: readonly string[]
  /** Undefined: the built-in page; false: none. */
  readonly indexPage: IndexPage | false | undefined
  /** No login is required. */
  readonly isPublic: boolean
}
