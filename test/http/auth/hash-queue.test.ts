import { expect, test } from '@jest/globals'

import { createHashQueue } from '../../../src/http/auth/hash-queue.ts'
import type { Standing } from '../../../src/http/auth/login-throttle.ts'

/** A line whose work the test ends by name. */
function open() {
  const line = createHashQueue()
  const begun: string[] = []
  const ends = new Map<string, () => void>()
  const ask = (standing: Standing, name: string) =>
    line.run(standing, () => {
      begun.push(name)
      return new Promise<void>((resolve) => ends.set(name, resolve))
    })
  const end = async (name: string) => {
    ends.get(name)!()
    await new Promise((resolve) => setImmediate(resolve))
  }
  return { ask, end, begun }
}

test('suspects never take both places, so that whoever else comes begins at once', () => {
  const { ask, begun } = open()
  for (const name of ['s1', 's2', 's3']) void ask('suspect', name)
  expect(begun).toEqual(['s1'])
  void ask('new', 'n1')
  expect(begun).toEqual(['s1', 'n1'])
})

test('familiar networks go first, then the newest of the new ones, and suspects last', async () => {
  const { ask, end, begun } = open()
  for (const name of ['a', 'b']) void ask('new', name)
  void ask('suspect', 's')
  for (const name of ['n1', 'n2', 'n3']) void ask('new', name)
  for (const name of ['f1', 'f2']) void ask('familiar', name)
  for (const name of ['a', 'b', 'f1', 'f2', 'n3', 'n2', 'n1']) await end(name)
  expect(begun).toEqual(['a', 'b', 'f1', 'f2', 'n3', 'n2', 'n1', 's'])
})

test('work that fails gives its place back', async () => {
  const line = createHashQueue()
  for (let time = 0; time < 3; time++)
    await expect(line.run('suspect', () => Promise.reject(new Error('no memory')))).rejects.toThrow('no memory')
  expect(await line.run('suspect', async () => 'done')).toBe('done')
})
