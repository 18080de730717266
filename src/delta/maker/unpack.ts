/** Unpacks a NAR file to a tree, for a delta to read. The NAR was verified before, and its names are checked as any. */
import { closeSync, constants, mkdirSync, openSync, readSync, symlinkSync, writeSync } from 'node:fs'

import type { NarSink } from '../../nar/nar-sink.ts'
import { NarParser } from '../../nar/parse.ts'

const chunkBytes = 1024 * 1024

export function unpackNar(narFile: string, realPath: string): void {
  const sink = new TreeSink(Buffer.from(realPath))
  const parser = new NarParser(sink)
  const input = openSync(narFile, constants.O_RDONLY)
  try {
    const buffer = Buffer.allocUnsafe(chunkBytes)
    for (let count = readSync(input, buffer); count > 0; count = readSync(input, buffer))
      parser.push(buffer.subarray(0, count))
    parser.end()
  } finally {
    closeSync(input)
    sink.close()
  }
}

class TreeSink implements NarSink {
  /** Paths of the open directories, the top's parent first. */
  readonly #directories: (Buffer | undefined)[] = []
  readonly #top: Buffer
  #file: number | undefined

  constructor(top: Buffer) {
    this.#top = top
  }

  directory(name: Uint8Array): void {
    const path = this.#pathOf(name)
    mkdirSync(path, { mode: 0o700 })
    this.#directories.push(path)
  }

  leaveDirectory(): void {
    this.#directories.pop()
  }

  regular(name: Uint8Array, _size: number, isExecutable: boolean): void {
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
    this.#file = openSync(this.#pathOf(name), flags, isExecutable ? 0o700 : 0o600)
  }

  content(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.byteLength; ) at += writeSync(this.#file!, bytes, at)
  }

  leaveRegular(): void {
    this.close()
  }

  symlink(name: Uint8Array, target: Uint8Array): void {
    symlinkSync(Buffer.from(target), this.#pathOf(name))
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file)
    this.#file = undefined
  }

  #pathOf(name: Uint8Array): Buffer {
    const parent = this.#directories.at(-1)
    return parent === undefined ? this.#top : Buffer.concat([parent, Buffer.from('/'), name])
  }
}
