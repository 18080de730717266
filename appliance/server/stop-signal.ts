/** The first SIGTERM or SIGINT asks for an orderly stop; a second one exits immediately. */
import { exitCodes } from '../complaint.ts'
import type { Machine } from '../machine.ts'

const exitCodeBySignal = { SIGTERM: exitCodes.terminated, SIGINT: exitCodes.interrupted } as const

/** One Ctrl-C under `npm start` is two signals: the terminal's own, and the one that npm forwards. */
export const sameKeyMs = 1000

/** Resolves with the first of the two. From then on either of them ends the program at once, with 128 + its number. */
export function awaitStopSignal(
  { onSignal, exit }: Pick<Machine, 'onSignal' | 'exit'>,
  nowMs: () => number = () => performance.now(),
): Promise<keyof typeof exitCodeBySignal> {
  return new Promise((resolve) => {
    let first: { signal: keyof typeof exitCodeBySignal; atMs: number } | undefined
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      onSignal(signal, () => {
        if (first === undefined) {
          first = { signal, atMs: nowMs() }
          resolve(signal)
        } else if (!(signal === 'SIGINT' && first.signal === 'SIGINT' && nowMs() - first.atMs < sameKeyMs))
          exit(exitCodeBySignal[signal])
      })
    }
  })
}
