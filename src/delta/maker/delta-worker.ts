/** The delta thread: makes one delta after another. Started by `delta-thread.ts`. */
import { createHash } from 'node:crypto'
import { readlinkSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { setPriority } from 'node:os'
import { parentPort } from 'node:worker_threads'

import { Fault } from '../../faults.ts'
import { LayoutWalk } from '../../nar/layout-walk.ts'
import { formatSha256 } from '../../nix/hash.ts'
import { type DeltaTree, encodeDelta } from '../encode.ts'
import type { ThreadAnswer, ThreadEnd, ThreadOrder } from './messages.ts'
import { unpackNar } from './unpack.ts'

if (!parentPort) throw new Error('Cannot run delta-worker as a program: delta-thread starts it as a thread')
const port = parentPort

/** What is compressed for a request goes first. */
const niceness = 10

try {
  setPriority(Number(/\d+$/.exec(readlinkSync('/proc/thread-self'))?.[0]), niceness)
} catch {
  // Not on this system: then it competes with everything else.
}

async function make({ base, target, tempPath, maxBytes }: ThreadOrder): Promise<ThreadAnswer> {
  const reader = encodeDelta(readTree(base), readTree(target))
  try {
    await using file = await openTemporary(tempPath)
    const hash = createHash('sha256')
    let fileSize = 0
    for (let chunk = await reader.next(); chunk !== undefined; chunk = await reader.next()) {
      const { bytes } = chunk
      fileSize += bytes.byteLength
      if (fileSize > maxBytes) return { kind: 'too-large' }
      hash.update(bytes)
      await write(() => file.writeFile(bytes))
      chunk.release()
    }
    await write(() => file.sync())
    return { kind: 'made', fileHash: formatSha256(hash.digest()), fileSize }
  } finally {
    reader.close()
  }
}

function readTree({ narHash, realPath, narFile }: ThreadEnd): DeltaTree {
  if (narFile !== undefined) unpackNar(narFile, realPath)
  return { narHash, layout: new LayoutWalk(realPath).step(Number.POSITIVE_INFINITY)! }
}

const openTemporary = (path: string) => write(() => open(path, 'wx', 0o600))

/** What is wrong with the disk says nothing about the store object. */
async function write<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw new Fault('larder-unwritable', (error as Error).message, { cause: error })
  }
}

port.on('message', (order: ThreadOrder) => {
  make(order).then(
    (answer) => port.postMessage(answer),
    (error: unknown) => port.postMessage(toAnswer(error)),
  )
})

function toAnswer(error: unknown): ThreadAnswer {
  if (error instanceof Fault) return { kind: 'fault', code: error.code, message: error.message }
  return {
    kind: 'fault',
    code: undefined,
    message: error instanceof Error ? (error.stack ?? error.message) : String(error),
  }
}
