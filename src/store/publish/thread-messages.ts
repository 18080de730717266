/** What passes between the thread that determines the published paths and the one that answers. */
import type { Explanation } from './explain.ts'
import type { PublishedHealth, PublishPolicy, StorePlace } from './policy.ts'
import type { PublishedPaths } from './publication.ts'

export interface ThreadData {
  readonly policy: PublishPolicy
  readonly place: StorePlace
}

export interface ThreadRequest {
  readonly explain: string
  readonly id: number
}

export type ThreadMessage =
  | ({ readonly kind: 'updated'; readonly paths: PublishedPaths | undefined } & Pick<
      PublishedHealth,
      'ofPaths' | 'rootProblems'
    > & { readonly count: number })
  /** The database cannot be read, or the rules cannot be applied. */
  | { readonly kind: 'failed'; readonly message: string }
  /** Undefined: the paths could not be determined. */
  | { readonly kind: 'explained'; readonly id: number; readonly explanation: Explanation | undefined }
