/** Progress of a push. */

export type PushEvent =
  /** Sizes in bytes of uncompressed NARs. */
  | {
      readonly event: 'plan'
      readonly paths: number
      readonly missingPaths: number
      readonly missingBytes: number
      readonly freeBytes: number
    }
  /** Something was sent and accepted: bytes of NAR, and compressed bytes. */
  | { readonly event: 'sent'; readonly narBytes: number; readonly wireBytes: number }
  | { readonly event: 'path'; readonly storePath: string; readonly status: PathStatus; readonly reason?: string }

export type PathStatus = 'pushed' | 'present' | 'elsewhere' | 'conflict' | 'refused' | 'would-push'
