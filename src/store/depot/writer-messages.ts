/**
 * What the answering thread and the writer's thread say to each other. Bodies go in chunks, and never more than a
 * window ahead of what was taken.
 */
import type { RecoveryReport } from './recovery.ts'
import type { DepotWriter } from './writer.ts'
import type { WriterOptions } from './writer-parts.ts'

export interface WriterThreadData {
  readonly options: WriterOptions
}

/** The calls: each takes one argument, some a body. */
export type WriterOp = Exclude<keyof DepotWriter, 'recovered'>

/** The writer seen from the answering thread, in whatever thread it lives. */
export interface WriterLink {
  readonly recovered: RecoveryReport
  call<Op extends WriterOp>(
    op: Op,
    argument: Parameters<DepotWriter[Op]>[0],
    body?: AsyncIterable<Uint8Array>,
  ): ReturnType<DepotWriter[Op]>
  close(): Promise<void>
}

export type ToWriter =
  | {
      readonly kind: 'call'
      readonly id: number
      readonly op: WriterOp
      readonly argument: unknown
      readonly stream: number | undefined
    }
  | { readonly kind: 'chunk'; readonly stream: number; readonly bytes: Uint8Array }
  | { readonly kind: 'end'; readonly stream: number; readonly problem: string | undefined }
  | {
      readonly kind: 'answer'
      readonly id: number
      readonly value: unknown
      readonly stream: number | undefined
      readonly problem: string | undefined
    }

export type FromWriter =
  | { readonly kind: 'open'; readonly recovered: RecoveryReport }
  | { readonly kind: 'failed'; readonly problem: string }
  | { readonly kind: 'result'; readonly id: number; readonly value: unknown; readonly problem: string | undefined }
  /** So many bytes of the body were taken, and that many more may be sent. */
  | { readonly kind: 'taken'; readonly stream: number; readonly bytes: number }
  /** The rest of the body is not wanted. */
  | { readonly kind: 'drop'; readonly stream: number }
  | {
      readonly kind: 'ask'
      readonly id: number
      readonly op: 'describeLocal' | 'openLocal' | 'takeUses'
      readonly argument: unknown
    }
  | {
      readonly kind: 'log'
      readonly level: 'debug' | 'info' | 'warn' | 'error'
      readonly fields: object
      readonly message: string
    }

export const windowBytes = 512 * 1024
