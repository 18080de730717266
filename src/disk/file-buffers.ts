/** Open files and memory for reading them, for stores that share both. */
import { ChunkBuffers } from './chunk-buffers.ts'
import { OpenFiles } from './open-files.ts'

export interface FileBuffers extends AsyncDisposable {
  readonly files: OpenFiles
  readonly buffers: ChunkBuffers
}

export function createFileBuffers(): FileBuffers {
  const files = new OpenFiles()
  return { files, buffers: new ChunkBuffers(), [Symbol.asyncDispose]: () => files[Symbol.asyncDispose]() }
}
