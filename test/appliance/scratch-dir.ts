/** A temporary directory that is gone when the block ends: `await using dir = await createScratchDir()`. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface ScratchDir extends AsyncDisposable {
  readonly path: string
  file(name: string): string
}

export async function createScratchDir(): Promise<ScratchDir> {
  const path = await mkdtemp(join(tmpdir(), 'burrow-test-'))
  return {
    path,
    file: (name) => join(path, name),
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }),
  }
}
