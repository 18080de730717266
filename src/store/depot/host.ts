/** What the scribe asks of the thread that answers: the local store, and what was used lately. */
import type { Compression } from '../../nix/nar-info.ts'
import type { PathInfo } from '../../nix/path-info.ts'

export interface ScribeHost {
  /** What the local store knows of these paths; undefined for each it does not have. */
  describeLocal(storePaths: readonly string[]): Promise<readonly (PathInfo | undefined)[]>
  /** The NAR of a path of the local store, checked against its record or not; undefined when it is gone. */
  openLocal(storePath: string): Promise<LocalNar | undefined>
  /** Hash parts and times (milliseconds since 1970) of what was used since this was asked last. */
  takeUses(): Promise<readonly (readonly [hashPart: string, at: number])[]>
  log(level: 'debug' | 'info' | 'warn' | 'error', fields: object, message: string): void
}

export interface LocalNar {
  readonly compression: Compression
  readonly body: AsyncIterable<Uint8Array>
}
