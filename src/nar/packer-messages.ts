/**
 * Messages between the main thread and the packer thread. Both directions are batched: one message per event loop
 * iteration. NAR bytes are passed in slots of shared memory; `at` is the offset of a slot.
 */
import type { FaultCode } from '../faults.ts'
import type { FilledNar, NarRequest } from './contract.ts'

export type PackerRequest =
  | {
      readonly kind: 'raw'
      readonly job: number
      readonly nar: NarRequest
      readonly start: number
      readonly end: number
    }
  | {
      readonly kind: 'compressed'
      readonly job: number
      readonly nar: NarRequest
      readonly level: number
      readonly start: number
      readonly end: number
    }
  | {
      readonly kind: 'fill'
      readonly job: number
      readonly nar: NarRequest
      readonly level: number
      readonly tempFile: string
    }
  | { readonly kind: 'list'; readonly job: number; readonly realPath: string }
  /**
   * The result of this job is no longer needed. A fill answers with the fault `abandoned` once its file is removed;
   * other jobs do not answer.
   */
  | { readonly kind: 'drop'; readonly job: number }
  /** The reader has consumed these slots. */
  | { readonly kind: 'free'; readonly slots: readonly number[] }
  /** Cancel all jobs and exit. */
  | { readonly kind: 'close' }

/** A request that starts a job or refers to one. */
export type JobRequest = Extract<PackerRequest, { readonly job: number }>

export type PackerEvent =
  /** `bytes` is a copy, used when the shared memory is exhausted. It is freed like a slot. */
  | {
      readonly kind: 'chunk'
      readonly job: number
      readonly at: number
      readonly length: number
      readonly isLast: boolean
      readonly bytes?: Uint8Array
    }
  /** End of a body whose last chunk was not yet known to be the last when it was sent. */
  | { readonly kind: 'end'; readonly job: number }
  | { readonly kind: 'progress'; readonly job: number; readonly written: number }
  | { readonly kind: 'filled'; readonly job: number; readonly result: FilledNar }
  | { readonly kind: 'listing'; readonly job: number; readonly json: Uint8Array }
  /** Without a code: a bug. */
  | { readonly kind: 'fault'; readonly job: number; readonly code: FaultCode | undefined; readonly message: string }

export interface PackerThreadData {
  readonly memory: SharedArrayBuffer
  /** Maximum number of concurrent compression steps. */
  readonly compressors: number
}
