/** A password typed at a terminal that does not show it. */
import { StringDecoder } from 'node:string_decoder'

import { Complaint } from '../complaint.ts'
import type { TerminalInput, TerminalOutput } from '../machine.ts'

const keys = {
  interrupt: '\u0003',
  endOfInput: '\u0004',
  backspace: '\b',
  delete: '\u007f',
  eraseLine: '\u0015',
} as const

/** One line. The terminal is as it was when this is over, however it ends. @throws {Complaint} interrupted, refused */
export async function readHiddenLine(input: TerminalInput, output: TerminalOutput, prompt: string): Promise<string> {
  // Before the prompt: who sees it may type at once.
  input.setRawMode?.(true)
  output.write(prompt)
  try {
    return await readLine(input)
  } finally {
    input.setRawMode?.(false)
    input.pause()
    output.write('\n')
  }
}

function readLine(input: TerminalInput): Promise<string> {
  const decoder = new StringDecoder('utf8')
  let typed: string[] = []
  const { promise, resolve, reject } = Promise.withResolvers<string>()

  const take = (character: string): boolean => {
    if (character === '\r' || character === '\n') resolve(typed.join(''))
    else if (character === keys.interrupt) reject(new Complaint('interrupted', 'Interrupted'))
    else if (character === keys.endOfInput) reject(new Complaint('refused', 'No password was given'))
    else if (character === keys.backspace || character === keys.delete) typed.pop()
    else if (character === keys.eraseLine) typed = []
    else {
      typed.push(character)
      return true
    }
    return character !== '\r' && character !== '\n' && character !== keys.interrupt && character !== keys.endOfInput
  }
  const onData = (bytes: Buffer) => {
    const characters = [...decoder.write(bytes)]
    const end = characters.findIndex((character) => !take(character))
    if (end < 0) return
    // What was typed ahead belongs to the next prompt.
    input.off('data', onData)
    input.pause()
    if (end + 1 < characters.length) input.unshift(Buffer.from(characters.slice(end + 1).join('')))
  }
  const onEnd = () => reject(new Complaint('refused', 'No password was given: the input ended'))
  input.on('data', onData)
  input.once('end', onEnd)
  input.resume()
  return promise.finally(() => {
    input.off('data', onData)
    input.off('end', onEnd)
  })
}
