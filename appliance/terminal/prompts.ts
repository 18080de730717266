/** Questions at a terminal. The library is loaded only when there is something to ask. */
import { Complaint } from '../complaint.ts'
import type { Machine } from '../machine.ts'

type Terminal = Pick<Machine, 'stdin' | 'stderr'>

/**
 * One line that is not shown while it is typed. The caller checks that standard input is a terminal.
 * @throws {Complaint} interrupted; refused: the input ended
 */
export async function askPassword(terminal: Terminal, message: string): Promise<string> {
  const { default: password } = await import('@inquirer/password')
  return await ask(terminal, (context) => password({ message, toggleMask: false }, context))
}

/**
 * A question that is answered with no unless the user types yes.
 * @throws {Complaint} usage: standard input is not a terminal; interrupted; refused: the input ended
 */
export async function confirm(terminal: Terminal, message: string): Promise<boolean> {
  if (terminal.stdin.isTTY !== true)
    throw new Complaint(
      'usage',
      'Cannot ask for confirmation: standard input is not a terminal; see what would be done with --dry-run, and agree to it with --yes',
    )
  const { default: confirmPrompt } = await import('@inquirer/confirm')
  terminal.stderr.write('\n')
  return await ask(terminal, (context) => confirmPrompt({ message, default: false }, context))
}

interface PromptContext {
  readonly input: Machine['stdin']
  readonly output: Machine['stderr']
  readonly signal: AbortSignal
}

async function ask<T>({ stdin, stderr }: Terminal, prompt: (context: PromptContext) => Promise<T>): Promise<T> {
  // The library never settles after Ctrl-D or a hang-up: readline closes and pauses the input, and no more.
  const ended = new AbortController()
  const onPause = () => ended.abort()
  stdin.once('pause', onPause)
  try {
    return await prompt({ input: stdin, output: stderr, signal: ended.signal })
  } catch (error) {
    const { name } = error as Error
    if (name === 'ExitPromptError')
      throw new Complaint('interrupted', 'Interrupted; nothing was changed', { cause: error })
    if (name === 'AbortPromptError')
      throw new Complaint('refused', 'No answer was given: the input ended; nothing was changed', { cause: error })
    throw error
  } finally {
    stdin.off('pause', onPause)
  }
}
