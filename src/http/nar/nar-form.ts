/** A NAR in the form in which HTTP sends it; representation.ts chooses the form for a target. */
import type { ByteRange, ChunkReader } from '../../chunks.ts'
import type { ServedFrom } from '../observer.ts'

export interface OpenedNar {
  readonly size: number | undefined
  readonly chunks: ChunkReader
  readonly servedFrom: ServedFrom
}

export interface Representation {
  readonly etag: string
  /** Bytes; undefined until the compression has finished. */
  readonly size: number | undefined
  readonly isResumable: boolean
  /** As `NarTally.insteadOfBytes`. */
  readonly insteadOfBytes: number | undefined
  /** Waits for the size. Called only while it is unknown. */
  settle(): Promise<number>
  open(range: ByteRange | undefined): Promise<OpenedNar>
}
