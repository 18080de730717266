/**
 * Streaming, strict NAR parser. Rejects what Nix 2.34 rejects: names that are unsorted, duplicate, empty, `.`, `..`,
 * contain `/` or NUL, or exceed 255 bytes; targets that are empty, contain NUL or exceed 4095 bytes; more than 64
 * nested nodes; non-zero padding; a `regular` without `contents` or with its parts out of order. Content is passed
 * through as it arrives. Memory is bounded by the longest name of each level. Source: Nix manual, "Nix Archive (NAR)
 * format"; Nix, `parseDump`.
 */

import { type NarSink, NarSyntaxError } from './nar-sink.ts'
import { padded } from './tokens.ts'

const maxDepth = 64
const maxNameBytes = 255
const maxTargetBytes = 4095
const maxWordBytes = 16

/** The token expected next. */
type NodeState =
  | 'magic'
  | 'open'
  | 'type'
  | 'kind'
  | 'part'
  | 'flag'
  | 'contents'
  | 'content'
  | 'targetWord'
  | 'target'
  | 'close'
type DirectoryState = 'item' | 'entryOpen' | 'nameWord' | 'name' | 'nodeWord' | 'entryClose'
type State = NodeState | DirectoryState | 'end'

const none = new Uint8Array()

export class NarParser {
  readonly #sink: NarSink
  #state: State = 'magic'
  #offset = 0
  /** Remaining bytes of the current length, token or padding. */
  #phase: 'length' | 'token' | 'padding' = 'length'
  #left = 8
  readonly #token = Buffer.alloc(maxTargetBytes + 1)
  #tokenLength = 0
  #length = 0
  #isExecutable = false
  #name: Uint8Array = none
  /** The last name in each open directory. */
  readonly #lastNames: Uint8Array[] = []

  constructor(sink: NarSink) {
    this.#sink = sink
  }

  /** True after the end of the NAR. */
  get isComplete(): boolean {
    return this.#state === 'end'
  }

  /**
   * Consumes input and returns how many bytes belong to the NAR: fewer than given only at its end. Throws
   * NarSyntaxError, and errors of the sink.
   */
  push(bytes: Uint8Array): number {
    let at = 0
    while (at < bytes.length && this.#state !== 'end') {
      const part = bytes.subarray(at, at + Math.min(this.#left, bytes.length - at))
      at += part.length
      this.#offset += part.length
      this.#left -= part.length
      this.#take(part)
      while (this.#left === 0 && !this.isComplete) this.#nextPhase()
    }
    return at
  }

  /** Marks the end of the input. Throws NarSyntaxError if bytes are missing. */
  end(): void {
    if (!this.isComplete) this.#refuse('it ends too early')
  }

  #take(part: Uint8Array): void {
    if (this.#phase === 'padding') {
      if (part.some((byte) => byte !== 0)) this.#refuse('padding is not zero')
    } else if (this.#phase === 'token' && this.#state === 'content') {
      this.#sink.content(part)
    } else {
      this.#token.set(part, this.#tokenLength)
      this.#tokenLength += part.length
    }
  }

  #nextPhase(): void {
    if (this.#phase === 'length') {
      this.#beginToken(this.#token.readUInt32LE(0), this.#token.readUInt32LE(4))
    } else if (this.#phase === 'token') {
      this.#phase = 'padding'
      this.#left = padded(this.#length) - this.#length
    } else {
      this.#state = this.#accept(this.#token.subarray(0, this.#tokenLength))
      this.#phase = 'length'
      this.#left = 8
      this.#tokenLength = 0
    }
  }

  #beginToken(low: number, high: number): void {
    const length = high * 0x1_0000_0000 + low
    if (high >= 0x20_0000 || length > this.#maxTokenBytes())
      this.#refuse(`a ${this.#state} of ${length} bytes is too long`)
    this.#phase = 'token'
    this.#left = length
    this.#length = length
    this.#tokenLength = 0
    if (this.#state === 'content') this.#sink.regular(this.#name, length, this.#isExecutable, this.#offset)
  }

  #maxTokenBytes(): number {
    if (this.#state === 'content') return Number.MAX_SAFE_INTEGER
    if (this.#state === 'target') return maxTargetBytes
    return this.#state === 'name' ? maxNameBytes : maxWordBytes
  }

  /** Processes a complete token and returns the next state. */
  #accept(token: Buffer): State {
    switch (this.#state) {
      case 'magic':
        return this.#require(token, 'nix-archive-1', 'open')
      case 'open':
        return this.#require(token, '(', 'type')
      case 'type':
        return this.#require(token, 'type', 'kind')
      case 'kind':
        return this.#acceptKind(token)
      case 'part':
        this.#isExecutable = token.equals(words.executable)
        return this.#isExecutable ? 'flag' : this.#require(token, 'contents', 'content')
      case 'flag':
        return this.#require(token, '', 'contents')
      case 'contents':
        return this.#require(token, 'contents', 'content')
      case 'content':
        this.#sink.leaveRegular()
        return 'close'
      case 'targetWord':
        return this.#require(token, 'target', 'target')
      case 'target':
        if (token.length === 0 || token.includes(0)) this.#refuse('a symlink has an invalid target')
        this.#sink.symlink(this.#name, token)
        return 'close'
      case 'close':
        this.#require(token, ')', 'close')
        return this.#nodeEnded()
      default:
        return this.#acceptInDirectory(token)
    }
  }

  #acceptKind(token: Buffer): State {
    if (this.#lastNames.length >= maxDepth) this.#refuse(`more than ${maxDepth} nodes are nested`)
    if (token.equals(words.regular)) return 'part'
    if (token.equals(words.symlink)) return 'targetWord'
    this.#require(token, 'directory', 'item')
    this.#sink.directory(this.#name)
    this.#lastNames.push(none)
    return 'item'
  }

  #acceptInDirectory(token: Buffer): State {
    switch (this.#state) {
      case 'item':
        if (!token.equals(words.close)) return this.#require(token, 'entry', 'entryOpen')
        this.#lastNames.pop()
        this.#sink.leaveDirectory()
        return this.#nodeEnded()
      case 'entryOpen':
        return this.#require(token, '(', 'nameWord')
      case 'nameWord':
        return this.#require(token, 'name', 'name')
      case 'name':
        this.#acceptName(token)
        return 'nodeWord'
      case 'nodeWord':
        return this.#require(token, 'node', 'open')
      default:
        return this.#require(token, ')', 'item')
    }
  }

  #acceptName(token: Buffer): void {
    const isImpossible =
      token.length === 0 ||
      token.equals(words.dot) ||
      token.equals(words.dotDot) ||
      token.includes(0x2f) ||
      token.includes(0)
    if (isImpossible) this.#refuse('an entry has an invalid name')
    const last = this.#lastNames.length - 1
    if (Buffer.compare(token, this.#lastNames[last]!) <= 0) this.#refuse('the names of a directory are not sorted')
    this.#name = Uint8Array.from(token)
    this.#lastNames[last] = this.#name
  }

  #nodeEnded(): State {
    return this.#lastNames.length === 0 ? 'end' : 'entryClose'
  }

  #require(token: Buffer, word: string, next: State): State {
    if (token.toString('latin1') !== word) this.#refuse(`"${word}" is expected here`)
    return next
  }

  #refuse(message: string): never {
    throw new NarSyntaxError(message, this.#offset)
  }
}

const words = {
  executable: Buffer.from('executable'),
  regular: Buffer.from('regular'),
  symlink: Buffer.from('symlink'),
  close: Buffer.from(')'),
  dot: Buffer.from('.'),
  dotDot: Buffer.from('..'),
}
