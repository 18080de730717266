/**
 * Decompression of stored NARs by the programs `xz` and `bzip2`: their formats have no decoder in Node.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { Duplex } from 'node:stream'

import type { Decompressors } from '../../src/index.ts'
import { findOnPath } from '../search-path.ts'

/** xz gets a limit on memory: a dictionary may be up to 4 GiB, and no NAR that Nix writes needs more than 64 MiB. */
const commands = {
  xz: ['xz', '--decompress', '--stdout', '--threads=1', '--memlimit-decompress=256MiB'],
  bzip2: ['bzip2', '--decompress', '--stdout'],
} as const

/** Those of the programs that are there. */
export function findDecompressors(searchPath: string | undefined): Decompressors {
  const entries = Object.entries(commands).flatMap(([compression, [name, ...args]]) => {
    const program = findOnPath(name, searchPath)
    return program === undefined ? [] : [[compression, () => startFilter(program, args)] as const]
  })
  return Object.fromEntries(entries)
}

/**
 * Destroying the stream kills the program. The stream ends only after the program has said that all went well; else it
 * fails.
 */
export function startFilter(program: string, args: readonly string[]): Duplex {
  // It does not inherit our environment, which may hold passwords; XZ_OPT would change its behaviour.
  return new FilterStream(spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'], env: { LC_ALL: 'C' } }), program)
}

/** Of what the program says only so much is kept for the error message. */
const maxComplaintLength = 500

class FilterStream extends Duplex {
  readonly #child: ChildProcessWithoutNullStreams
  #complaint = ''

  constructor(child: ChildProcessWithoutNullStreams, program: string) {
    super()
    this.#child = child
    child.on('error', (cause) => this.destroy(new Error(`Cannot run "${program}"`, { cause })))
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#complaint = (this.#complaint + text).slice(0, maxComplaintLength)
    })
    child.stdout.on('data', (chunk: Buffer) => {
      if (!this.push(chunk)) child.stdout.pause()
    })
    // A broken pipe is explained by the exit that caused it.
    child.stdin.on('error', () => {})
    child.on('close', (code, signal) => {
      if (code === 0 && child.stdin.writableEnded) this.push(null)
      else if (code === 0) this.destroy(new Error(`"${program}" ended before its input`))
      else this.destroy(new Error(`"${program}" failed (${signal ?? `exit code ${code}`}): ${this.#complaint.trim()}`))
    })
  }

  override _read(): void {
    this.#child.stdout.resume()
  }

  /** Calls back when the pipe has taken the bytes, whose memory is then used again. */
  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: () => void): void {
    this.#child.stdin.write(chunk, () => callback())
  }

  override _final(callback: () => void): void {
    this.#child.stdin.end()
    callback()
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#child.kill('SIGKILL')
    // Its own pipes would otherwise stay open until it is reaped, with no reader.
    for (const pipe of [this.#child.stdin, this.#child.stdout, this.#child.stderr]) pipe.destroy()
    callback(error)
  }
}
