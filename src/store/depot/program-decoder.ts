/** Decompresses by a program (xz, bzip2) that runs as a child process without our environment. */
import { spawn } from 'node:child_process'

import { closed, type Decoder } from './stream-decoder.ts'
import { Refused } from './types.ts'

export function startProgram(
  program: string,
  args: readonly string[],
  take: (bytes: Uint8Array) => void,
  searchPath: string,
): Decoder {
  // Nothing of our environment: it may hold secrets.
  const child = spawn(program, args, { env: { PATH: searchPath, LC_ALL: 'C' }, stdio: ['pipe', 'pipe', 'pipe'] })
  let failure: unknown
  let complaint = ''
  const fail = (error: unknown) => {
    failure ??= error
    child.kill('SIGKILL')
  }
  child.stdout.on('data', (bytes: Buffer) => {
    if (failure !== undefined) return
    try {
      take(bytes)
    } catch (error) {
      fail(error)
    }
  })
  child.stderr.on('data', (bytes: Buffer) => {
    if (complaint.length < 1000) complaint += bytes.toString('latin1')
  })
  // It has ended before it took everything; its exit says why.
  child.stdin.on('error', () => {})
  const ended = new Promise<void>((resolve) => {
    child.once('error', (error: NodeJS.ErrnoException) => {
      fail(
        error.code === 'ENOENT'
          ? new Refused(
              'unsupported',
              `This cache has no "${program}" program to check such a NAR with: use ?compression=zstd`,
            )
          : new Refused('unavailable', 'This cache cannot check NARs at the moment', { cause: error }),
      )
      resolve()
    })
    child.once('close', (code) => {
      if (code !== 0) failure ??= describeExit(program, complaint)
      resolve()
    })
  })
  const check = () => {
    if (failure !== undefined) throw failure
  }
  return {
    async write(bytes) {
      check()
      await Promise.race([new Promise<void>((resolve) => child.stdin.write(bytes, () => resolve())), ended])
      check()
    },
    async end() {
      check()
      child.stdin.end()
      await ended
      check()
    },
    close: () => fail(closed()),
  }
}

function describeExit(program: string, complaint: string): Refused {
  if (/memory usage limit/i.test(complaint)) {
    return new Refused(
      'bad-nar',
      'Decompressing the body needs more memory than this cache allows: use ?compression=zstd',
    )
  }
  return new Refused('bad-nar', 'The body does not decompress: it is damaged or cut short', {
    cause: new Error(`${program}: ${complaint}`),
  })
}
