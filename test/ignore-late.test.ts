import { expect, test } from '@jest/globals'

import { ignoreLate } from '../src/ignore-late.ts'

test('an answer that is there at once is passed on', () => {
  expect(ignoreLate('here')).toBe('here')
  expect(ignoreLate(undefined)).toBeUndefined()
})

test('a late answer is not waited for, and its failure does not end the process', async () => {
  const unhandled: unknown[] = []
  const note = (reason: unknown) => unhandled.push(reason)
  process.on('unhandledRejection', note)
  try {
    expect(ignoreLate(Promise.resolve('late'))).toBeUndefined()
    expect(ignoreLate(Promise.reject(new Error('the store cannot be read')))).toBeUndefined()
    // Reported after the microtasks of a turn.
    await new Promise((resolve) => setImmediate(resolve))
    expect(unhandled).toEqual([])
  } finally {
    process.off('unhandledRejection', note)
  }
})
