/**
 * Files that only their owner may read: written atomically, mode 0600 from the start.
 */
import { randomBytes } from 'node:crypto'
import { link, open, readFile, rename, stat, unlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

import { systemCodeOf } from '../complaint.ts'

/**
 * Creates the file if it is missing, and returns its text. If several processes do so at once, one wins and all return
 * the same text. The file is never seen half-written.
 */
export async function readOrCreatePrivateFile(
  file: string,
  content: () => string,
): Promise<{ text: string; isNew: boolean }> {
  const existing = await readIfAny(file)
  if (existing !== undefined) return { text: existing, isNew: false }
  const text = content()
  const isNew = await createPrivateFile(file, text)
  return { text: isNew ? text : await readFile(file, 'utf8'), isNew }
}

/** Root writes files for a service that runs as another user. */
export interface FileOwner {
  readonly uid: number
  readonly gid: number
}

/** False when the file exists already; it is not changed. */
export async function createPrivateFile(file: string, text: string, owner?: FileOwner): Promise<boolean> {
  const temporary = await writeTemporary(file, text, owner)
  try {
    await link(temporary, file)
  } catch (error) {
    const code = systemCodeOf(error)
    if (code === 'EEXIST') return false
    // File systems without hard links (SMB, exFAT) can create exclusively, though a crash may leave it incomplete.
    if (code !== 'EPERM' && code !== 'ENOTSUP' && code !== 'EOPNOTSUPP' && code !== 'ENOSYS') throw error
    return await createInPlace(file, text, owner)
  } finally {
    await unlink(temporary)
  }
  await syncDirectory(dirname(file))
  return true
}

/** Creates or replaces the file. */
export async function replacePrivateFile(file: string, text: string, owner?: FileOwner): Promise<void> {
  const temporary = await writeTemporary(file, text, owner)
  try {
    await rename(temporary, file)
  } catch (error) {
    await unlink(temporary)
    throw error
  }
  await syncDirectory(dirname(file))
}

export async function readIfAny(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return undefined
    throw error
  }
}

/** True when users other than the owner have any access. */
export async function isReadableByOthers(file: string): Promise<boolean> {
  return ((await stat(file)).mode & 0o077) !== 0
}

async function writeTemporary(file: string, text: string, owner: FileOwner | undefined): Promise<string> {
  const temporary = join(dirname(file), `.${basename(file)}.${randomBytes(6).toString('hex')}.tmp`)
  const handle = await open(temporary, 'wx', 0o600)
  try {
    await handle.writeFile(text)
    if (owner !== undefined) await handle.chown(owner.uid, owner.gid)
    await handle.sync()
  } catch (error) {
    await unlink(temporary)
    throw error
  } finally {
    await handle.close()
  }
  return temporary
}

async function createInPlace(file: string, text: string, owner: FileOwner | undefined): Promise<boolean> {
  let handle: Awaited<ReturnType<typeof open>>
  try {
    handle = await open(file, 'wx', 0o600)
  } catch (error) {
    if (systemCodeOf(error) === 'EEXIST') return false
    throw error
  }
  try {
    await handle.writeFile(text)
    if (owner !== undefined) await handle.chown(owner.uid, owner.gid)
    await handle.sync()
  } finally {
    await handle.close()
  }
  return true
}

/** A new name survives a power cut only once its directory is synced. */
async function syncDirectory(dir: string): Promise<void> {
  const handle = await open(dir, 'r')
  try {
    await handle.sync()
  } catch (error) {
    // Some network file systems do not support this.
    if (systemCodeOf(error) !== 'EINVAL' && systemCodeOf(error) !== 'ENOTSUP') throw error
  } finally {
    await handle.close()
  }
}
