/** Prompts at a terminal. The library is loaded only when it is needed. */
import { Complaint } from '../complaint.ts'
import type { Machine } from '../machine.ts'

type Terminal = Pick<Machine, 'stdin' | 'stderr'>

/**
 * Reads one line without echo. The caller checks that standard input is a terminal.
 * @throws {Complaint} interrupted; refused: the input ended
 */
export async function askPassword(terminal: Terminal, message: string): Promise<string> {
  const { default: password } = await import('@inquirer/password')
  return await ask(terminal, (context) => password({ message, toggleMask: false }, context))
}

/**
 * Asks a yes/no question; the default is no.
 * @throws {Complaint} usage: standard input is not a terminal; interrupted; refused: the input ended
 */
export async function confirm(terminal: Terminal, message: string): Promise<boolean> {
  if (terminal.stdin.isTTY !== true)
    throw new Complaint(
      'usage',
      'Cannot ask for confirmation: standard input is not a terminal. Use --dry-run to see the changes, and --yes to confirm them',
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
  // The library's promise stays pending after Ctrl-D or a hang-up: readline only closes and pauses the input.
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
      throw new Complaint('refused', 'No answer was given: the input ended. Nothing was changed', { cause: error })
    throw error
  } finally {
    stdin.off('pause', onPause)
  }
}
