import type { IndexPage } from './origin.ts'

/** What the small routes tell; read anew for each request, since a reload changes it. */
export interface Particulars {
  readonly version: string
  readonly priority: number
  readonly wantMassQuery: boolean
  /** `name:base64`, one for each secret key. */
  readonly publicKeys: readonly string[]
  /** Undefined: the built-in page; false: none. */
  readonly indexPage: IndexPage | false | undefined
  /** Nobody is asked for a password. */
  readonly isPublic: boolean
}
