/**
 * Whose password the doctor may try: that of a user who may pull and whose password, not only its hash, is known; or
 * the one it is given.
 */
import { readFile } from 'node:fs/promises'

import type { User } from '../../src/index.ts'
import { Complaint, reasonOf } from '../complaint.ts'
import type { Login } from './asking.ts'
import { mayPull } from './config-checks.ts'

export interface LoginOptions {
  readonly user: string | undefined
  /** Absolute. */
  readonly passwordFile: string | undefined
}

/** @throws {Complaint} usage, refused */
export async function chooseLogin(
  { user: name, passwordFile }: LoginOptions,
  users: readonly User[] | undefined,
  now: number,
): Promise<Login | { missing: string }> {
  if (passwordFile !== undefined) {
    const owner = name ?? (users?.length === 1 ? users[0]?.name : undefined)
    if (owner === undefined)
      throw new Complaint('usage', 'Cannot know whose password --password-file holds; name the user with --user')
    return { name: owner, password: await readPassword(passwordFile) }
  }
  if (users === undefined) return { missing: 'the users are not known here' }
  const wanted = users.filter((user) => name === undefined || user.name === name)
  if (name !== undefined && wanted.length === 0)
    throw new Complaint('refused', `There is no user "${name}"; known: ${users.map((user) => user.name).join(', ')}`)
  for (const user of wanted) {
    if (user.secret.kind === 'plain' && (name !== undefined || mayPull(user, now)))
      return { name: user.name, password: user.secret.password }
  }
  return {
    missing:
      name === undefined
        ? 'of no user who may pull the password is known here, only its hash'
        : `of "${name}" only the hash of the password is known here`,
  }
}

async function readPassword(file: string): Promise<string> {
  try {
    return (await readFile(file, 'utf8')).replace(/\r?\n$/, '')
  } catch (error) {
    throw new Complaint('refused', `Cannot read password file "${file}": ${reasonOf(error)}`, { cause: error })
  }
}
