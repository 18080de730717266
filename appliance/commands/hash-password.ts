/** `burrow hash-password`: reads a password and prints its argon2id hash. */
import { Command } from 'commander'

import { Complaint } from '../complaint.ts'
import { passwordFault } from '../config/users-schema.ts'
import type { Machine } from '../machine.ts'
import { askPassword } from '../terminal/prompts.ts'
import { readInput } from '../terminal/standard-input.ts'
import { hashPassword } from '../users/password-hash.ts'

/** Longer than any password, short enough to keep in memory. */
const maxInputBytes = 4096

export function hashPasswordCommand(machine: Machine): Command {
  return new Command('hash-password')
    .description('print the argon2id hash of a password, for "passwordHash" in the config')
    .addHelpText(
      'after',
      '\nThe password is read from the terminal without echo, or as one line from standard input:\n  burrow hash-password < password.txt',
    )
    .action(async () => {
      const password = machine.stdin.isTTY === true ? await askTwice(machine) : await readOnlyLine(machine)
      const fault = passwordFault(password)
      if (fault !== undefined) throw new Complaint('refused', `Cannot hash this: it ${fault[0]}; ${fault[1]}`)
      machine.stdout.write(`${await hashPassword(password)}\n`)
    })
}

async function askTwice(machine: Machine): Promise<string> {
  const password = await askPassword(machine, 'Password:')
  if (password !== (await askPassword(machine, 'Repeat the password:')))
    throw new Complaint('refused', 'The passwords do not match; try again')
  return password
}

async function readOnlyLine(machine: Machine): Promise<string> {
  const text = await readInput(machine, maxInputBytes)
  if (text === undefined)
    throw new Complaint(
      'refused',
      `Cannot hash this: it is longer than ${maxInputBytes} bytes; give the password on a single line`,
    )
  if (text.includes('\n'))
    throw new Complaint('refused', 'Cannot hash this: it has several lines; give the password on a single line')
  return text
}
