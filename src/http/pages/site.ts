/** What the routes of pages share. */
import type { PathHistory } from '../../store/depot/contract.ts'
import type { Lookup, Store } from '../../store/store.ts'
import type { NameIndex } from '../names/name-index.ts'
import type { Origin } from '../origin.ts'
import type { Particulars } from '../particulars.ts'
import type { ServiceStatus, SiteStatus } from '../site-status.ts'
import type { Usage } from '../usage.ts'

export interface Site {
  readonly origin: Origin
  readonly particulars: () => Particulars
  readonly names: NameIndex
  /** In the order in which they are asked. */
  readonly stores: readonly Store[]
  /** What can be looked up without asking another cache. */
  readonly here: Lookup
  /** Undefined if nothing can be pushed. */
  readonly depot: PathHistory | undefined
  /** Undefined where usage is not recorded. */
  readonly usage: Usage | undefined
  /** A part of `readStatus`, which also asks the stores. */
  readonly readService: () => ServiceStatus | undefined
  readonly readStatus: () => SiteStatus
}
