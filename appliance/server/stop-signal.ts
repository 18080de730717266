/** The first SIGTERM or SIGINT asks for an orderly stop; a second one is not argued with. */
import { exitCodes } from '../complaint.ts'
import type { Machine } from '../machine.ts'

const exitCodeBySignal = { SIGTERM: exitCodes.terminated, SIGINT: exitCodes.interrupted } as const

/** Resolves with the first of the two. From then on either of them ends the program at once, with 128 + its number. */
export function awaitStopSignal({ onSignal, exit }: Pick<Machine, 'onSignal' | 'exit'>): Promise<keyof typeof exitCodeBySignal> {
  return new Promise((resolve) => {
    let isStopping = false
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      onSignal(signal, () => {
        if (isStopping) exit(exitCodeBySignal[signal])
        isStopping = true
        resolve(signal)
      })
    }
  })
}
