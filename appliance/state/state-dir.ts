/** The state directory: made when missing, and refused when its secrets would lie open or belong to somebody else. */
import { chmod, mkdir, readdir, stat } from 'node:fs/promises'

import { Complaint, reasonOf, systemCodeOf } from '../complaint.ts'

/** Files that make a directory worth protecting. */
export const secretKeyFile = 'secret-key'
export const stateFile = 'state.json'
export const tunnelTokenFile = 'tunnel-token'

/**
 * Makes sure of a directory that only its owner, us, can enter.
 * @throws {Complaint} state
 */
export async function prepareStateDir(dir: string, userId: number | undefined): Promise<void> {
  try {
    // 0700 for every directory that is made on the way too, as XDG wants it.
    await mkdir(dir, { recursive: true, mode: 0o700 })
    await checkStateDir(dir, userId)
  } catch (error) {
    if (error instanceof Complaint) throw error
    throw new Complaint(
      'state',
      `Cannot make state directory "${dir}": ${reasonOf(error)}; set "state": { "dir": … } to one that this user can write`,
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
  if ([secretKeyFile, stateFile, tunnelTokenFile].some((name) => entries.includes(name))) {
    const octal = (mode & 0o777).toString(8).padStart(4, '0')
    throw new Complaint(
      'state',
      `Cannot use state directory "${dir}": it holds secrets and has mode ${octal}, so others can enter it; run "chmod 700 ${dir}" (under systemd: StateDirectoryMode=0700), and change the key and password if somebody may have read them`,
    )
  }
  await chmod(dir, 0o700)
}

/**
 * For commands that only look: true when there is a state directory to look into. root may look at that of a service.
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

/** Whose directory it must be; root sets up and looks after services that run as others. */
export function exceptRoot(userId: number | undefined): number | undefined {
  return userId === 0 ? undefined : userId
}
