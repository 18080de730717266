/** Messages to the delta thread and back: one order, one answer. */
import type { FaultCode } from '../../faults.ts'

/** A NAR is unpacked from `narFile` to `realPath` first. */
export interface ThreadEnd {
  readonly narHash: string
  readonly realPath: string
  readonly narFile?: string
}

export interface ThreadOrder {
  readonly base: ThreadEnd
  readonly target: ThreadEnd
  readonly tempPath: string
  readonly maxBytes: number
}

export type ThreadAnswer =
  | { readonly kind: 'made'; readonly fileHash: string; readonly fileSize: number }
  | { readonly kind: 'too-large' }
  /** Without a code: a bug. */
  | { readonly kind: 'fault'; readonly code: FaultCode | undefined; readonly message: string }
