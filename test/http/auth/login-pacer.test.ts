import { expect, test } from '@jest/globals'

import { createLoginPacer } from '../../../src/http/auth/login-pacer.ts'

test('a few strangers are let through in each turn of the event loop, in the order of their coming', async () => {
  const due: (() => void)[] = []
  const turns = createLoginPacer((callback) => void due.push(callback))
  const through: number[] = []
  for (let stranger = 0; stranger < 20; stranger++) void turns.next().then(() => through.push(stranger))
  const afterTurn: number[] = []
  while (due.length > 0) {
    due.shift()!()
    await new Promise((resolve) => setImmediate(resolve))
    afterTurn.push(through.length)
  }
  expect(afterTurn).toEqual([8, 16, 20])
  expect(through).toEqual([...through].sort((left, right) => left - right))
})
