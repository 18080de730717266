/** The state directory: created if it is missing, refused if other users could read its secrets or own it. */
import { chmod, mkdir, readdir, stat } from 'node:fs/promises'

import { Complaint, reasonOf, systemCodeOf } from '../complaint.ts'
import type { FileOwner } from './private-files.ts'

/** Files with secrets. */
export const secretKeyFile = 'secret-key'
export const stateFile = 'state.json'
export const usersFile = 'users.json'
export const tunnelTokenFile = 'tunnel-token'

/**
 * Makes sure that the directory exists and that only this user can enter it.
 * @throws {Complaint} state
 */
export async function prepareStateDir(dir: string, userId: number | undefined): Promise<void> {
  try {
    // Missing parents get 0700 too, as the XDG specification asks for.
    await mkdir(dir, { recursive: true, mode: 0o700 })
    await checkStateDir(dir, userId)
  } catch (error) {
    if (error instanceof Complaint) throw error
    throw new Complaint(
      'state',
      `Cannot create state directory "${dir}": ${reasonOf(error)}; set "state": { "dir": … } to one that this user can write`,
      {
        cause: error,
      },
    )
  }
}

async function checkStateDir(dir: string, userId: number | undefined): Promise<void> {
  const { uid, mode } = await stat(dir)
  if (userId !== undefined && uid !== userId) {
    throw new Complaint(
      'state',
      `Cannot use state directory "${dir}": it belongs to user ${uid}, and this is user ${userId}; run Burrow as its owner, or set "state": { "dir": … }`,
    )
  }
  if ((mode & 0o077) === 0) return
  const entries = await readdir(dir)
  if ([secretKeyFile, stateFile, usersFile, tunnelTokenFile].some((name) => entries.includes(name))) {
    const octal = (mode & 0o777).toString(8).padStart(4, '0')
    throw new Complaint(
      'state',
      `Cannot use state directory "${dir}": it holds secrets and has mode ${octal}, so other users can enter it; run "chmod 700 ${dir}" (under systemd: StateDirectoryMode=0700), and replace the key and password if they may have been read`,
    )
  }
  await chmod(dir, 0o700)
}

/**
 * For read-only commands: true when there is a state directory. root may read that of a service.
 * @throws {Complaint} state
 */
export async function hasStateDir(dir: string, userId: number | undefined): Promise<boolean> {
  try {
    await checkStateDir(dir, exceptRoot(userId))
    return true
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return false
    if (error instanceof Complaint) throw error
    throw new Complaint(
      'state',
      `Cannot read state directory "${dir}": ${reasonOf(error)}; run this as the user that runs Burrow`,
      { cause: error },
    )
  }
}

/**
 * Who owns what is written into the directory: undefined for this user, or the service's user where root writes for it.
 */
export async function ownerFor(dir: string, userId: number | undefined): Promise<FileOwner | undefined> {
  const { uid, gid } = await stat(dir)
  return userId === 0 && uid !== 0 ? { uid, gid } : undefined
}

/** The required owner. root also manages services that run as other users. */
export function exceptRoot(userId: number | undefined): number | undefined {
  return userId === 0 ? undefined : userId
}
