/** The password of a user, if it is not to be made: from standard input or from a prompt. */
import { Option } from 'commander'

import { Complaint } from '../../complaint.ts'
import type { Machine } from '../../machine.ts'
import { askPassword } from '../../terminal/prompts.ts'
import { readInput } from '../../terminal/standard-input.ts'

export interface PasswordFlags {
  readonly passwordStdin?: boolean
  readonly prompt?: boolean
}

export const passwordStdinOption = () =>
  new Option('--password-stdin', 'use the line on standard input as the password, instead of making one').conflicts(
    'prompt',
  )

export const promptOption = () => new Option('--prompt', 'ask for the password at the terminal, instead of making one')

const maxBytes = 4096

/** Undefined: a password is to be made. @throws {Complaint} usage, refused, interrupted */
export async function readOwnPassword(
  machine: Machine,
  { passwordStdin, prompt }: PasswordFlags,
): Promise<string | undefined> {
  if (passwordStdin === true) {
    const text = await readInput(machine, maxBytes)
    if (text === undefined || text.includes('\n'))
      throw new Complaint('usage', `Cannot use this password: give it on a single line of at most ${maxBytes} bytes`)
    return text
  }
  if (prompt !== true) return undefined
  if (machine.stdin.isTTY !== true)
    throw new Complaint('usage', 'Cannot ask for a password: standard input is not a terminal. Use --password-stdin')
  const password = await askPassword(machine, 'Password:')
  if (password !== (await askPassword(machine, 'Repeat the password:')))
    throw new Complaint('refused', 'The passwords do not match; try again')
  return password
}
