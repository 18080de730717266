/** The form of a NAR that is stored as a file, from a way to open that file. */
import { createDecompressor, type Decompressors, listNar } from '../nar/decompress.ts'
import { filteredReader } from '../stream-reader.ts'
import type { FileForm } from './store.ts'

export type StoredNar = Pick<FileForm, 'compression' | 'fileHash' | 'fileSize' | 'open'>

export function createFileForm(stored: StoredNar, decompressors: Decompressors): FileForm {
  async function openNar(): ReturnType<FileForm['openNar']> {
    const decompressor = createDecompressor(stored.compression, decompressors)
    const file = await stored.open()
    return decompressor === undefined ? file : filteredReader(file, decompressor)
  }
  return { kind: 'file', ...stored, openNar, list: async () => await listNar(await openNar()) }
}
