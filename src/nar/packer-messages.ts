/**
 * What the thread that answers requests and the thread that packs say to each other. Both directions go in batches, one message for all that came
 * up in one turn. The bytes of NARs lie in slots of one memory both can see; `at` names a slot by where it begins there.
 */
import type { FaultCode } from '../faults.ts'
import type { FilledNar, NarRequest } from './contract.ts'

export type PackerRequest =
  | { readonly kind: 'raw'; readonly job: number; readonly nar: NarRequest; readonly start: number; readonly end: number }
  | { readonly kind: 'compressed'; readonly job: number; readonly nar: NarRequest; readonly level: number; readonly start: number; readonly end: number }
  | { readonly kind: 'fill'; readonly job: number; readonly nar: NarRequest; readonly level: number; readonly tempFile: string }
  | { readonly kind: 'list'; readonly job: number; readonly realPath: string }
  /** Nobody wants this job's result any more. A fill answers with the fault `abandoned` when its file is gone; the others do not answer. */
  | { readonly kind: 'drop'; readonly job: number }
  /** These slots were read. */
  | { readonly kind: 'free'; readonly slots: readonly number[] }
  /** Give everything up and end. */
  | { readonly kind: 'close' }

/** A request that begins a job, or is about one. */
export type JobRequest = Extract<PackerRequest, { readonly job: number }>

export type PackerEvent =
  /** `bytes` is a copy for when the shared memory is exhausted; it is freed like a slot. */
  | { readonly kind: 'chunk'; readonly job: number; readonly at: number; readonly length: number; readonly isLast: boolean; readonly bytes?: Uint8Array }
  /** The end of a body whose last chunk was not known to be the last when it was sent. */
  | { readonly kind: 'end'; readonly job: number }
  | { readonly kind: 'progress'; readonly job: number; readonly written: number }
  | { readonly kind: 'filled'; readonly job: number; readonly result: FilledNar }
  | { readonly kind: 'listing'; readonly job: number; readonly json: Uint8Array }
  /** No code: a bug. */
  | { readonly kind: 'fault'; readonly job: number; readonly code: FaultCode | undefined; readonly message: string }

export interface PackerThreadData {
  readonly memory: SharedArrayBuffer
  /** Compression steps at once. */
  readonly compressors: number
}
