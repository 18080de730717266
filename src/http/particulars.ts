import type { IndexPage } from './origin.ts'
import type { Contact } from './pages/contact.ts'
import type { PageName } from './pages/navigation.ts'

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
  /** Users who may push can do so here. */
  readonly takesPushes: boolean
  /** Whom users can ask. */
  readonly contact: Contact | undefined
  /** The pages that this cache has. */
  readonly pages: ReadonlySet<PageName>
}
