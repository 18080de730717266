/** The form of a NAR that is stored as a file with a known hash and size, from a way to open that file. */
import { createDecompressor, type Decompressors, listNar } from '../nar/decompress.ts'
import { filteredReader } from '../stream-reader.ts'
import type { FileForm } from './store.ts'

export interface StoredNar extends Pick<FileForm, 'compression' | 'open'> {
  /** `sha256:<52 Nix32>` */
  readonly fileHash: string
  /** Bytes. */
  readonly fileSize: number
}

export function createFileForm(stored: StoredNar, decompressors: Decompressors): FileForm {
  const id = stored.fileHash.slice('sha256:'.length)
  return { kind: 'file', ...stored, id, settle: async () => stored.fileSize, ...createDecoding(stored, decompressors) }
}

/** What can be had of a stored NAR by decompressing it. */
export function createDecoding(
  { compression, open }: Pick<FileForm, 'compression' | 'open'>,
  decompressors: Decompressors,
): Pick<FileForm, 'openNar' | 'list'> {
  async function openNar(): ReturnType<FileForm['openNar']> {
    const decompressor = createDecompressor(compression, decompressors)
    const file = await open()
    return decompressor === undefined ? file : filteredReader(file, decompressor)
  }
  return { openNar, list: async () => await listNar(await openNar()) }
}
