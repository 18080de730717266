/**
 * The layout of a store object's NAR: the byte offsets of all entries, from `lstat` alone. Sizes, offsets and ranges
 * are known without reading any file.
 * An entry is a file, symlink or directory, in NAR order (depth first, names sorted bytewise); entry 0 is the top. The
 * NAR encoding of an entry has three parts:
 *   head     everything up to the length of the content
 *   content  the bytes of the file, or the target of the symlink; empty for a directory
 *   tail     padding, and the closing parentheses of all nodes that end before the next entry
 * Stored in columns: about 30 bytes per entry plus its name. Nesting is not limited here: Nix 2.34 reads at most 64
 * levels, but older versions read any depth, and a path registered by one of them can still be served to them.
 */
import {
  directoryOpening,
  entryOpening,
  executableOpening,
  magic,
  nodeWord,
  padded,
  regularOpening,
  symlinkOpening,
} from './tokens.ts'

export const EntryKind = { directory: 0, regular: 1, executable: 2, symlink: 3 } as const
export type EntryKind = (typeof EntryKind)[keyof typeof EntryKind]

const nodeOpenings = [directoryOpening, regularOpening, executableOpening, symlinkOpening] as const

export function nodeOpening(kind: number): Buffer {
  return nodeOpenings[kind] ?? directoryOpening
}

export class Layout {
  /** Bytes of the top's absolute path. */
  readonly realPath: Buffer
  readonly entries: number
  /** Offset of each entry's head in the NAR, plus one more item: the NAR's size. */
  readonly starts: Float64Array
  /** Size of each file's content or symlink's target in bytes; 0 for directories. */
  readonly sizes: Float64Array
  readonly kinds: Uint8Array
  readonly depths: Uint16Array
  readonly parents: Uint32Array
  /** Offset of each entry's name in `names`, plus one more item: the end. A symlink's target follows its name. */
  readonly nameStarts: Float64Array
  readonly names: Buffer

  constructor(realPath: Buffer, columns: Columns) {
    const { entries } = columns
    this.realPath = realPath
    this.entries = entries
    this.starts = columns.starts.slice(0, entries + 1)
    this.sizes = columns.sizes.slice(0, entries)
    this.kinds = columns.kinds.slice(0, entries)
    this.depths = columns.depths.slice(0, entries)
    this.parents = columns.parents.slice(0, entries)
    this.nameStarts = columns.nameStarts.slice(0, entries + 1)
    this.names = Buffer.from(columns.names.subarray(0, columns.namesLength))
    for (let entry = 0; entry < entries; entry++) {
      const content = padded(this.sizes[entry]!)
      this.starts[entry + 1] = this.starts[entry]! + this.headLength(entry) + content + 16 * this.closings(entry)
    }
  }

  get narSize(): number {
    return this.starts[this.entries]!
  }

  /** Approximate memory use. */
  get memoryBytes(): number {
    return 2000 + this.realPath.length + this.entries * 31 + this.names.length
  }

  nameLength(entry: number): number {
    const withTarget = this.nameStarts[entry + 1]! - this.nameStarts[entry]!
    return this.kinds[entry] === EntryKind.symlink ? withTarget - this.sizes[entry]! : withTarget
  }

  /** Returns a view, not a copy. Empty for the top. */
  name(entry: number): Buffer {
    const start = this.nameStarts[entry]!
    return this.names.subarray(start, start + this.nameLength(entry))
  }

  /** Returns a view of a symlink's target. */
  target(entry: number): Buffer {
    const end = this.nameStarts[entry + 1]!
    return this.names.subarray(end - this.sizes[entry]!, end)
  }

  headLength(entry: number): number {
    const introduction =
      entry === 0 ? magic.length : entryOpening.length + 8 + padded(this.nameLength(entry)) + nodeWord.length
    const kind = this.kinds[entry]!
    return introduction + nodeOpening(kind).length + (kind === EntryKind.directory ? 0 : 8)
  }

  /**
   * Number of closing parentheses after the content: two per node that ends here (its own and its entry's), one for the
   * top.
   */
  closings(entry: number): number {
    const isLast = entry + 1 === this.entries
    const nextDepth = isLast ? 0 : this.depths[entry + 1]!
    return 2 * (this.depths[entry]! - nextDepth + 1) - (isLast ? 1 : 0)
  }

  /** Offset of the content in the NAR: the `narOffset` of a listing. */
  contentStart(entry: number): number {
    return this.starts[entry]! + this.headLength(entry)
  }

  /** Returns the entry that contains this NAR offset. */
  entryAt(position: number): number {
    let low = 0
    let high = this.entries - 1
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      if (this.starts[middle]! <= position) low = middle
      else high = middle - 1
    }
    return low
  }

  /** Bytes of an entry's absolute path. */
  pathOf(entry: number): Buffer {
    const parts: Buffer[] = []
    for (let at = entry; at !== 0; at = this.parents[at]!) parts.unshift(slash, this.name(at))
    return Buffer.concat([this.realPath, ...parts])
  }
}

const slash = Buffer.from('/')

/** The columns of a layout under construction. */
export class Columns {
  entries = 0
  starts = new Float64Array(65)
  sizes = new Float64Array(64)
  kinds = new Uint8Array(64)
  depths = new Uint16Array(64)
  parents = new Uint32Array(64)
  nameStarts = new Float64Array(65)
  names = Buffer.alloc(1024)
  namesLength = 0

  constructor() {
    this.starts[0] = 0
  }

  /** `name` has one character per byte. Returns the entry's index. */
  add(name: string, kind: EntryKind, size: number, parent: number, target?: Buffer): number {
    const entry = this.entries++
    if (entry === this.sizes.length) this.#grow()
    this.#reserveName(name.length + (target?.length ?? 0))
    this.nameStarts[entry] = this.namesLength
    this.namesLength += this.names.write(name, this.namesLength, 'latin1')
    if (target) this.namesLength += target.copy(this.names, this.namesLength)
    this.nameStarts[entry + 1] = this.namesLength
    this.sizes[entry] = size
    this.kinds[entry] = kind
    this.parents[entry] = parent
    this.depths[entry] = entry === 0 ? 0 : this.depths[parent]! + 1
    return entry
  }

  #grow(): void {
    const length = this.sizes.length * 2
    const larger = <T extends Float64Array | Uint8Array | Uint16Array | Uint32Array>(column: T, into: T): T => {
      into.set(column)
      return into
    }
    this.starts = new Float64Array(length + 1)
    this.sizes = larger(this.sizes, new Float64Array(length))
    this.kinds = larger(this.kinds, new Uint8Array(length))
    this.depths = larger(this.depths, new Uint16Array(length))
    this.parents = larger(this.parents, new Uint32Array(length))
    this.nameStarts = larger(this.nameStarts, new Float64Array(length + 1))
  }

  #reserveName(bytes: number): void {
    if (this.namesLength + bytes <= this.names.length) return
    const larger = Buffer.alloc(Math.max(this.names.length * 2, this.namesLength + bytes))
    this.names.copy(larger)
    this.names = larger
  }
}
