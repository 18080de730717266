/** A question that only "y" or "yes" answers with yes. */
import { createInterface } from 'node:readline'

import { Complaint } from '../complaint.ts'
import type { Machine } from '../machine.ts'

/** @throws {Complaint} usage where nobody can be asked, interrupted */
export async function confirm(
  { stdin, stderr }: Pick<Machine, 'stdin' | 'stderr'>,
  question: string,
): Promise<boolean> {
  if (stdin.isTTY !== true)
    throw new Complaint(
      'usage',
      'Cannot ask: there is no terminal; look at the plan with --dry-run, and give --yes to agree to it',
    )
  const lines = createInterface({ input: stdin, output: stderr, terminal: true })
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  lines.once('SIGINT', () => reject(new Complaint('interrupted', 'Interrupted; nothing was changed')))
  lines.once('close', () => resolve(''))
  lines.question(`${question} [y/N] `, resolve)
  try {
    return /^y(?:es)?$/i.test((await promise).trim())
  } finally {
    lines.close()
  }
}
