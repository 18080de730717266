/**
 * Writes a NAR from the nodes of a tree, and checks that they make one: names sorted, no directory left open, content
 * as long as announced. Used by the encoder, for the hash, and by the decoder. Content itself goes past it.
 */
import {
  closing,
  directoryOpening,
  entryOpening,
  executableOpening,
  magic,
  nodeWord,
  padded,
  regularOpening,
  symlinkOpening,
  writeLength,
} from '../nar/tokens.ts'
import { limits } from './format.ts'

const none = Buffer.alloc(0)
const slash = Buffer.from('/')

interface OpenDirectory {
  readonly path: Buffer
  /** The name before; empty at the beginning. */
  lastName: Buffer
}

export class NarEncoder {
  readonly #refuse: (how: string) => Error
  readonly #open: OpenDirectory[] = []
  #hasTop = false
  #contentSize = 0
  /** Bytes of content that the open file still lacks. */
  left = 0
  /** Path of the open file, or of the last node, below the top. */
  path: Buffer = none

  /** @param refuse makes the error to throw for nodes that are not a NAR */
  constructor(refuse: (how: string) => Error) {
    this.#refuse = refuse
  }

  /** True when the top and all in it are closed. */
  get isComplete(): boolean {
    return this.#hasTop && this.#open.length === 0 && this.left === 0
  }

  directory(name: Buffer): Buffer {
    const opening = this.#openNode(name, directoryOpening)
    this.#open.push({ path: this.path, lastName: none })
    return opening
  }

  leaveDirectory(): Buffer {
    if (this.#open.length === 0 || this.left > 0) throw this.#refuse('it leaves a directory in which it is not')
    this.#open.pop()
    return this.#close()
  }

  symlink(name: Buffer, target: Buffer): Buffer {
    if (target.length === 0 || target.length > limits.targetBytes || target.includes(0))
      throw this.#refuse('a symlink has an invalid target')
    return Buffer.concat([this.#openNode(name, symlinkOpening), encodeText(target), this.#close()])
  }

  /** The caller writes `size` bytes of content next, and says so with `content`. */
  regular(name: Buffer, size: number, isExecutable: boolean): Buffer {
    const opening = this.#openNode(name, isExecutable ? executableOpening : regularOpening)
    this.left = size
    this.#contentSize = size
    return Buffer.concat([opening, encodeLength(size), size === 0 ? this.#close() : none])
  }

  /** Returns what follows these bytes of content: nothing until the file is complete. */
  content(length: number): Buffer {
    if (length > this.left) throw this.#refuse('a file has more content than its size')
    this.left -= length
    if (length === 0 || this.left > 0) return none
    const padding = Buffer.alloc(padded(this.#contentSize) - this.#contentSize)
    return Buffer.concat([padding, this.#close()])
  }

  #openNode(name: Buffer, opening: Buffer): Buffer {
    if (this.left > 0) throw this.#refuse('a file lacks content')
    if (this.#open.length >= limits.depth) throw this.#refuse(`more than ${limits.depth} nodes are nested`)
    const directory = this.#open.at(-1)
    if (directory === undefined) {
      if (this.#hasTop || name.length > 0) throw this.#refuse('it has more than one top')
      this.#hasTop = true
      return Buffer.concat([magic, opening])
    }
    this.#requireName(name, directory)
    this.path = directory.path.length === 0 ? Buffer.from(name) : Buffer.concat([directory.path, slash, name])
    directory.lastName = Buffer.from(name)
    return Buffer.concat([entryOpening, encodeText(name), nodeWord, opening])
  }

  #requireName(name: Buffer, directory: OpenDirectory): void {
    if (!isName(name)) throw this.#refuse('an entry has an invalid name')
    if (Buffer.compare(name, directory.lastName) <= 0) throw this.#refuse('the names of a directory are not sorted')
  }

  /** The node's own parenthesis, and that of its directory entry. */
  #close(): Buffer {
    return this.#open.length === 0 ? closing : Buffer.concat([closing, closing])
  }
}

export function isName(name: Buffer): boolean {
  if (name.length === 0 || name.length > limits.nameBytes || name.includes(0x2f) || name.includes(0)) return false
  return !(name[0] === 0x2e && (name.length === 1 || (name.length === 2 && name[1] === 0x2e)))
}

function encodeLength(length: number): Buffer {
  const bytes = Buffer.alloc(8)
  writeLength(bytes, 0, length)
  return bytes
}

function encodeText(text: Buffer): Buffer {
  const token = Buffer.alloc(8 + padded(text.length))
  writeLength(token, 0, text.length)
  text.copy(token, 8)
  return token
}
