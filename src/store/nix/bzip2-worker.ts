/**
 * Thread that decodes one bzip2 file. A block of 900 KB keeps a processor busy for a tenth of a second, and a block of
 * zeros becomes 46 MB: here it stalls nobody, and the thread waits in the middle of a block until the reader wants
 * more, so nothing piles up. A file is one bzip2 stream or several in a row.
 */
import { readSync } from 'node:fs'
import { parentPort, workerData } from 'node:worker_threads'
import bzip2 from 'unbzip2-stream/lib/bzip2.js'

export interface Bzip2WorkerData {
  /** An open file, read from its current position; closed by the parent when this thread has ended. */
  readonly fd: number
  /** One number: chunks the reader has asked for and not been given. */
  readonly credit: Int32Array<SharedArrayBuffer>
}

/** Plain text in pieces, then either `end` or `error`. */
export type Bzip2WorkerMessage =
  | { readonly chunk: Uint8Array<ArrayBuffer> }
  | { readonly end: true }
  | { readonly error: string }

const inputBytes = 64 << 10
const outputBytes = 64 << 10
const blockUnit = 100_000

const { fd, credit } = workerData as Bzip2WorkerData

const input = {
  bytes: new Uint8Array(inputBytes),
  length: 0,
  at: 0,
  /** Of the byte before `at`, so many bits were not read. */
  bitsLeft: 0,
}

function isAtEnd(): boolean {
  if (input.at < input.length) return false
  input.length = readSync(fd, input.bytes)
  input.at = 0
  return input.length === 0
}

function readBits(count: number | null): number {
  if (count === null) {
    input.bitsLeft = 0
    return 0
  }
  let result = 0
  let missing = count
  while (missing > 0) {
    if (input.bitsLeft === 0) {
      if (isAtEnd()) throw new Error('the file ends too early')
      input.at++
      input.bitsLeft = 8
    }
    const byte = input.bytes[input.at - 1]!
    const taken = Math.min(missing, input.bitsLeft)
    input.bitsLeft -= taken
    missing -= taken
    result = (result << taken) | ((byte >> input.bitsLeft) & ((1 << taken) - 1))
  }
  return result
}

let output = new Uint8Array(outputBytes)
let filled = 0

function takeByte(byte: number): void {
  output[filled++] = byte
  if (filled === outputBytes) sendOutput()
}

function sendOutput(): void {
  while (Atomics.load(credit, 0) === 0) Atomics.wait(credit, 0, 0)
  Atomics.sub(credit, 0, 1)
  send({ chunk: filled === outputBytes ? output : output.slice(0, filled) })
  output = new Uint8Array(outputBytes)
  filled = 0
}

function send(message: Bzip2WorkerMessage): void {
  parentPort!.postMessage(message, 'chunk' in message ? [message.chunk.buffer] : [])
}

try {
  do {
    const blockBytes = bzip2.header(readBits) * blockUnit
    const block = new Int32Array(blockBytes)
    let checksum: number | null = 0
    while (checksum !== null) checksum = bzip2.decompress(readBits, takeByte, block, blockBytes, checksum)
  } while (!isAtEnd())
  if (filled > 0) sendOutput()
  send({ end: true })
} catch (error) {
  send({ error: (error as Error).message })
}
