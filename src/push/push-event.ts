/** What a push reports while it works. */

export type PushEvent =
  /** Bytes of NAR. */
  | {
      readonly event: 'plan'
      readonly paths: number
      readonly missingPaths: number
      readonly missingBytes: number
      readonly freeBytes: number
    }
  /** Sent and taken: bytes of NAR, and of what went over the line. */
  | { readonly event: 'sent'; readonly narBytes: number; readonly wireBytes: number }
  | { readonly event: 'path'; readonly storePath: string; readonly status: PathStatus; readonly reason?: string }

export type PathStatus = 'pushed' | 'present' | 'elsewhere' | 'conflict' | 'refused' | 'would-push'
