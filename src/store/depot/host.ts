/** What the writer asks of the thread that answers: the local store, and what was used lately. */
import type { Compression } from '../../nix/nar-info.ts'
import type { PathInfo } from '../../nix/path-info.ts'

export interface WriterHost {
  /** What the local store knows of these paths; undefined for each it does not have. */
  describeLocal(storePaths: readonly string[]): Promise<readonly (PathInfo | undefined)[]>
  /** The NAR of a path of the local store, checked against its record or not; undefined when it is gone. */
  openLocal(storePath: string): Promise<LocalNar | undefined>
  /** What was used since this was asked last. */
  takeUses(): Promise<readonly Use[]>
  log(level: 'debug' | 'info' | 'warn' | 'error', fields: object, message: string): void
}

export interface Use {
  readonly hashPart: string
  /** Milliseconds since 1970. */
  readonly at: number
  /** A pusher learned that the path need not be sent: it stays for a day, whatever comes. */
  readonly isPromised: boolean
}

export interface LocalNar {
  readonly compression: Compression
  readonly body: AsyncIterable<Uint8Array>
}
