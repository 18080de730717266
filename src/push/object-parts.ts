/** The NAR of a store object in parts: read from its files, or from an uncompressed NAR that is stored. */
import { NarParts } from '../nar/nar-parts.ts'
import { countParts, sizeOfPart } from '../nar/part-ranges.ts'
import type { FileForm, StoreObject, TreeForm } from '../store/store.ts'

/** A store object that can be pushed. */
export type PushedObject = StoreObject & { readonly form: TreeForm | (FileForm & { readonly compression: 'none' }) }

export interface ObjectParts {
  /** Bytes of the whole NAR. */
  readonly narSize: number
  readonly partBytes: number
  readonly count: number
  /** Rejects with the faults nar-changed and nar-unreadable, or as the form's `open`. */
  read(index: number): Promise<Buffer>
}

export function isPushable(object: StoreObject): object is PushedObject {
  return object.form.kind === 'tree' || object.form.compression === 'none'
}

/** Rejects with the faults nar-changed and nar-unreadable. */
export async function openParts({ info, form }: PushedObject, partBytes: number): Promise<ObjectParts> {
  if (form.kind === 'tree') return await NarParts.open(form.realPath, partBytes)
  const narSize = form.fileSize ?? info.narSize
  return {
    narSize,
    partBytes,
    count: countParts(narSize, partBytes),
    async read(index) {
      const start = index * partBytes
      return await readRange(form, start, start + sizeOfPart(narSize, partBytes, index))
    },
  }
}

async function readRange(form: FileForm, start: number, end: number): Promise<Buffer> {
  const part = Buffer.allocUnsafe(end - start)
  const reader = await form.open({ start, end })
  let filled = 0
  try {
    for (let chunk = await reader.next(); chunk !== undefined; chunk = await reader.next()) {
      part.set(chunk.bytes.subarray(0, part.length - filled), filled)
      filled += chunk.bytes.byteLength
      chunk.release()
    }
  } finally {
    reader.close()
  }
  if (filled !== part.length) throw new Error(`A stored NAR has ${filled} bytes between ${start} and ${end}`)
  return part
}
