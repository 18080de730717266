/** What is piped into a command that wants one line. */
import { readAtMost } from '../../src/index.ts'
import type { Machine } from '../machine.ts'

/** All of standard input, without the line break at its end. Undefined when it has more than `maxBytes`. */
export async function readInput({ stdin }: Machine, maxBytes: number): Promise<string | undefined> {
  const bytes = await readAtMost(stdin, maxBytes)
  return bytes?.toString('utf8').replace(/\r?\n$/, '')
}
