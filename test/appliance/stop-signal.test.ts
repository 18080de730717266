import { expect, test } from '@jest/globals'

import type { SignalName } from '../../appliance/machine.ts'
import { awaitStopSignal, sameKeyMs } from '../../appliance/server/stop-signal.ts'

function receiveSignals() {
  const listeners = new Map<SignalName, () => void>()
  const exits: number[] = []
  const clock = { ms: 0 }
  const stopped = awaitStopSignal(
    {
      onSignal: (signal, listener) => {
        listeners.set(signal, listener)
        return () => listeners.delete(signal)
      },
      exit: (code) => void exits.push(code) as never,
    },
    () => clock.ms,
  )
  return { send: (signal: SignalName) => listeners.get(signal)!(), exits, clock, stopped }
}

test('the SIGINT that npm forwards besides that of the terminal does not count as a second Ctrl-C', async () => {
  const { send, exits, clock, stopped } = receiveSignals()
  send('SIGINT')
  clock.ms = sameKeyMs - 1
  send('SIGINT')
  expect(await stopped).toBe('SIGINT')
  expect(exits).toEqual([])
})

test('a SIGINT a second after the first one ends the program', () => {
  const { send, exits, clock } = receiveSignals()
  send('SIGINT')
  clock.ms = sameKeyMs
  send('SIGINT')
  expect(exits).toEqual([130])
})

test.each([
  ['SIGTERM', 'SIGTERM', 143],
  ['SIGTERM', 'SIGINT', 130],
  ['SIGINT', 'SIGTERM', 143],
] as const)('%s and then %s ends it without a pause', (first, second, code) => {
  const { send, exits } = receiveSignals()
  send(first)
  send(second)
  expect(exits).toEqual([code])
})
