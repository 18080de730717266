import { expect, test } from '@jest/globals'

import { SmallNars } from '../../src/larder/small-nars.ts'

const kilobyte = () => new Uint8Array(1024)

test('what was used since it was last looked at outlives what was not, and the limit holds', () => {
  const small = new SmallNars(3 * 1024)
  for (const name of ['a', 'b', 'c']) small.add(name, kilobyte())
  small.find('a')
  small.add('d', kilobyte())
  small.find('c')
  small.add('e', kilobyte())
  expect(small.bytes).toBe(3 * 1024)
  expect(['a', 'b', 'c', 'd', 'e'].filter((name) => small.find(name))).toEqual(['a', 'c', 'e'])
})

test('one that is asked for all the time is never dropped, however many pass by', () => {
  const small = new SmallNars(8 * 1024)
  small.add('hot', kilobyte())
  for (let at = 0; at < 1000; at++) {
    small.add(`cold-${at}`, kilobyte())
    expect(small.find('hot')).toBeDefined()
    expect(small.bytes).toBeLessThanOrEqual(8 * 1024)
  }
})

test('what is larger than the memory, or than a small NAR, is not kept; what is there is not replaced', () => {
  const small = new SmallNars(1024)
  const first = kilobyte()
  small.add('a', first)
  small.add('a', kilobyte())
  small.add('b', new Uint8Array(1025))
  expect(small.find('a')).toBe(first)
  expect(small.find('b')).toBeUndefined()
  expect(small.bytes).toBe(1024)
  const roomy = new SmallNars(1024 * 1024)
  roomy.add('large', new Uint8Array(64 * 1024 + 1))
  expect(roomy.bytes).toBe(0)
})
