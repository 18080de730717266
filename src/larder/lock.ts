/**
 * The lock on a larder's directory: a listening unix socket. The kernel closes it with the process, whatever kills that, so a lock left behind is told from
 * a live one by connecting: no process id that could have been given to another meanwhile, and it holds between containers that share a disk.
 */
import { link, open, rename, rm, stat } from 'node:fs/promises'
import { connect, createServer, type Server } from 'node:net'
import { join } from 'node:path'

import { lockName } from './file-name.ts'

/** A socket's path must fit into 108 bytes (104 elsewhere); a longer directory is named by its descriptor. */
const maxSocketDirBytes = 60
/** Others that start at the same moment may win a round, never three. */
const attempts = 3

/**
 * Takes the lock, or resolves to undefined when another live process has it. Rejects when the directory cannot be written or its file system has no sockets.
 * Dispose of it to give it back.
 */
export async function takeLock(dir: string, random: () => string): Promise<AsyncDisposable | undefined> {
  const isShort = Buffer.byteLength(dir) <= maxSocketDirBytes
  const handle = isShort ? undefined : await open(dir, 'r')
  const socketDir = handle === undefined ? dir : `/proc/self/fd/${handle.fd}`
  try {
    return await contend(dir, socketDir, random)
  } finally {
    await handle?.close()
  }
}

async function contend(dir: string, socketDir: string, random: () => string): Promise<AsyncDisposable | undefined> {
  const path = join(dir, lockName)
  const ownName = `${lockName}-${random()}`
  const own = join(dir, ownName)
  const server = await listen(join(socketDir, ownName))
  try {
    for (let attempt = 0; attempt < attempts; attempt++) {
      // Links are made only where nothing is: of several contenders one succeeds.
      if (await linkUnlessPresent(own, path)) {
        const { ino } = await stat(own)
        await rm(own, { force: true })
        return { [Symbol.asyncDispose]: () => giveBack(server, path, ino) }
      }
      if (await isAlive(join(socketDir, lockName))) break
      await removeStale(dir, socketDir, random)
    }
  } catch (error) {
    await giveBack(server, own)
    throw error
  }
  await giveBack(server, own)
  return undefined
}

function listen(path: string): Promise<Server> {
  const server = createServer((socket) => socket.destroy())
  // A lock is no reason to stay alive.
  server.unref()
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ path, exclusive: true }, () => {
      // A caller that cannot be accepted for want of descriptors knows all the same that the lock is held.
      server.on('error', () => {})
      resolve(server)
    })
  })
}

async function linkUnlessPresent(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

/** Whatever is not plainly dead counts as alive: another user's socket, one with a full queue. */
function isAlive(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code !== 'ECONNREFUSED' && code !== 'ENOENT'))
  })
}

/** Moves the stale lock aside before removing it, and puts it back should it turn out that another contender had replaced it in between. */
async function removeStale(dir: string, socketDir: string, random: () => string): Promise<void> {
  const asideName = `${lockName}-${random()}`
  const aside = join(dir, asideName)
  try {
    await rename(join(dir, lockName), aside)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
    throw error
  }
  if (await isAlive(join(socketDir, asideName))) await linkUnlessPresent(aside, join(dir, lockName))
  await rm(aside, { force: true })
}

async function giveBack(server: Server, path: string, ino?: number): Promise<void> {
  const present = await stat(path).catch(() => undefined)
  if (present !== undefined && (ino === undefined || present.ino === ino)) await rm(path, { force: true })
  await new Promise<void>((resolve) => server.close(() => resolve()))
}
