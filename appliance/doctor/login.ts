/**
 * Chooses the login that the doctor tries: the one from the command line, or a user with pull access whose password is
 * in the config as plain text, not only as a hash.
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
      throw new Complaint('usage', 'Cannot tell which user --password-file belongs to; name the user with --user')
    return { name: owner, password: await readPassword(passwordFile) }
  }
  if (users === undefined) return { missing: 'the users are not known' }
  const wanted = users.filter((user) => name === undefined || user.name === name)
  if (name !== undefined && wanted.length === 0)
    throw new Complaint(
      'refused',
      `User "${name}" does not exist; known users: ${users.map((user) => user.name).join(', ')}`,
    )
  for (const user of wanted) {
    if (user.secret.kind === 'plain' && (name !== undefined || mayPull(user, now)))
      return { name: user.name, password: user.secret.password }
  }
  return {
    missing:
      name === undefined
        ? 'the config has only password hashes for users who may pull'
        : `the config has only the password hash of "${name}"`,
  }
}

async function readPassword(file: string): Promise<string> {
  try {
    return (await readFile(file, 'utf8')).replace(/\r?\n$/, '')
  } catch (error) {
    throw new Complaint('refused', `Cannot read password file "${file}": ${reasonOf(error)}`, { cause: error })
  }
}
