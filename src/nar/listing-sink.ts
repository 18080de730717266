/** Builds the `.ls` listing (see listing.ts) while `NarParser` parses a NAR, for NARs without a file tree. */
import { quote } from './listing.ts'
import type { NarSink } from './nar-sink.ts'

export class ListingSink implements NarSink {
  readonly #pieces: string[] = ['{"version":1,"root":']
  /** For each open directory: whether it is empty so far. */
  readonly #areEmpty: boolean[] = []

  /** Returns the JSON of the whole file after the end of the NAR. */
  toJson(): Uint8Array {
    return Buffer.from(`${this.#pieces.join('')}}`)
  }

  directory(name: Uint8Array): void {
    this.#begin(name, '{"type":"directory","entries":{')
    this.#areEmpty.push(true)
  }

  leaveDirectory(): void {
    this.#areEmpty.pop()
    this.#pieces.push('}}')
  }

  regular(name: Uint8Array, size: number, isExecutable: boolean, narOffset: number): void {
    this.#begin(
      name,
      `{"type":"regular","size":${size},${isExecutable ? '"executable":true,' : ''}"narOffset":${narOffset}}`,
    )
  }

  content(): void {}

  leaveRegular(): void {}

  symlink(name: Uint8Array, target: Uint8Array): void {
    this.#begin(name, `{"type":"symlink","target":${quote(Buffer.from(target))}}`)
  }

  #begin(name: Uint8Array, text: string): void {
    const depth = this.#areEmpty.length
    if (depth > 0) {
      this.#pieces.push(`${this.#areEmpty[depth - 1] ? '' : ','}${quote(Buffer.from(name))}:`)
      this.#areEmpty[depth - 1] = false
    }
    this.#pieces.push(text)
  }
}
