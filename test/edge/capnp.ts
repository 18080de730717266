/**
 * Cap'n Proto messages in stream framing: u32le (segments - 1), one u32le of words per segment, padding to 8 bytes,
 * then the segments; nothing packed. Only what cloudflared's tunnelrpc needs: structs, bytes, text, lists of text and
 * of structs, capabilities. Source: https://capnproto.org/encoding.html
 *
 *   00000000 11000000 | 00000000 01000100 | 03000000 00000000 | …      one segment of 17 words, whose first points to the root struct
 */

/** A struct to encode: its data section (whole words) and its pointers; `undefined` is the null pointer. */
export interface Struct {
  readonly data: Buffer
  readonly pointers: readonly Pointer[]
}

export type Pointer =
  | undefined
  | { readonly struct: Struct }
  | { readonly bytes: Uint8Array }
  | { readonly text: string }
  | { readonly texts: readonly string[] }
  | { readonly structs: readonly Struct[] }
  | { readonly capability: number }

const wordBytes = 8

/** `words` of data, filled in by the caller's writes, in front of the pointers. */
export function struct(words: number, fill: (data: Buffer) => void, ...pointers: Pointer[]): Struct {
  const data = Buffer.alloc(words * wordBytes)
  fill(data)
  return { data, pointers }
}

/**
 * One framed message of one segment. Children lie depth first in pointer order, as small messages of Go's and C++'s
 * encoders do.
 */
export function encodeMessage(root: Struct): Buffer {
  const words: Buffer[] = []
  const allocate = (count: number): number => {
    const at = words.length
    for (let i = 0; i < count; i++) words.push(Buffer.alloc(wordBytes))
    return at
  }
  const pointerAt = allocate(1)
  writePointer(words, allocate, pointerAt, { struct: root })
  const header = Buffer.alloc(wordBytes)
  header.writeUInt32LE(words.length, 4)
  return Buffer.concat([header, ...words])
}

type Allocate = (count: number) => number

function writePointer(words: Buffer[], allocate: Allocate, at: number, pointer: Pointer): void {
  if (!pointer) return
  const word = words[at]!
  const link = (target: number, kind: number, high: number) => {
    word.writeInt32LE(((target - at - 1) << 2) | kind, 0)
    word.writeUInt32LE(high >>> 0, 4)
  }
  if ('capability' in pointer) {
    word.writeUInt32LE(3, 0)
    word.writeUInt32LE(pointer.capability, 4)
  } else if ('struct' in pointer) {
    const { data, pointers } = pointer.struct
    const size = data.length / wordBytes + pointers.length
    // A struct of no size points at itself, so that it does not look like null.
    const target = size === 0 ? at : allocate(size)
    link(target, 0, structSize(pointer.struct))
    writeBody(words, allocate, target, pointer.struct)
  } else if ('structs' in pointer) {
    writeStructs(words, allocate, link, pointer.structs)
  } else if ('texts' in pointer) {
    const target = allocate(pointer.texts.length)
    link(target, 1, (pointer.texts.length << 3) | 6)
    pointer.texts.forEach((text, i) => {
      writePointer(words, allocate, target + i, { text })
    })
  } else {
    const bytes = 'text' in pointer ? Buffer.from(`${pointer.text}\0`) : pointer.bytes
    const count = Math.ceil(bytes.length / wordBytes)
    const target = allocate(count)
    link(target, 1, (bytes.length << 3) | 2)
    for (let i = 0; i < count; i++) words[target + i]!.set(bytes.subarray(i * wordBytes, (i + 1) * wordBytes))
  }
}

/** A composite list: a tag word in front, which holds the count where a pointer has its offset. */
function writeStructs(
  words: Buffer[],
  allocate: Allocate,
  link: (target: number, kind: number, high: number) => void,
  structs: readonly Struct[],
): void {
  const [first] = structs
  if (!first) throw new Error('Cannot encode an empty list of structs: its size is unknown')
  const each = first.data.length / wordBytes + first.pointers.length
  const target = allocate(1 + each * structs.length)
  link(target, 1, ((each * structs.length) << 3) | 7)
  words[target]!.writeUInt32LE(structs.length << 2, 0)
  words[target]!.writeUInt32LE(structSize(first), 4)
  structs.forEach((item, i) => {
    writeBody(words, allocate, target + 1 + i * each, item)
  })
}

function writeBody(words: Buffer[], allocate: Allocate, target: number, { data, pointers }: Struct): void {
  const dataWords = data.length / wordBytes
  for (let i = 0; i < dataWords; i++) words[target + i]!.set(data.subarray(i * wordBytes, (i + 1) * wordBytes))
  pointers.forEach((pointer, i) => {
    writePointer(words, allocate, target + dataWords + i, pointer)
  })
}

function structSize({ data, pointers }: Struct): number {
  return (pointers.length << 16) | (data.length / wordBytes)
}
