/** Several stores as one. */
import { describe, expect, test } from '@jest/globals'

import { Fault } from '../../src/faults.ts'
import { noLeases, type Store, type StoreObject } from '../../src/store/store.ts'
import { combineStores } from '../../src/store/stores.ts'

const [a, b] = ['a'.repeat(32), 'b'.repeat(32)]
const unavailable = new Fault('store-unavailable', 'away')

interface Options {
  readonly has?: readonly string[]
  readonly isAsync?: boolean
  readonly generation?: () => number
  readonly find?: () => never
  readonly storeDir?: string
}

function fake(
  name: string,
  { has = [], isAsync = false, generation = () => 1, find, storeDir = '/nix/store' }: Options,
): Store {
  const store: Store = {
    name,
    storeDir,
    generation,
    find(hashPart, fits) {
      find?.()
      const object = has.includes(hashPart) ? ({ store, info: { storePath: hashPart } } as StoreObject) : undefined
      const answer = object !== undefined && fits?.(object) !== false ? object : undefined
      return isAsync ? Promise.resolve(answer) : answer
    },
    findSystem: () => undefined,
    openLog: async () => undefined,
    findRealisation: () => undefined,
    withdraw() {},
    leases: noLeases,
    health: () => {
      throw new Error('not asked here')
    },
  }
  return store
}

const nameOf = async (found: ReturnType<Store['find']>) => (await found)?.store.name

describe('find', () => {
  test('asks in order, and answers at once as long as the stores do', () => {
    const stores = combineStores([
      fake('one', { has: [a] }),
      fake('two', { has: [a, b] }),
      fake('three', { isAsync: true }),
    ])
    expect((stores.find(a) as StoreObject).store.name).toBe('one')
    expect((stores.find(b) as StoreObject).store.name).toBe('two')
    expect(stores.find('c'.repeat(32))).toBeInstanceOf(Promise)
  })

  test('goes on behind a store that answers by a promise', async () => {
    const stores = combineStores([fake('one', { isAsync: true }), fake('two', { has: [b] })])
    expect(await nameOf(stores.find(b))).toBe('two')
    expect(await nameOf(stores.find(a))).toBeUndefined()
  })

  test('passes over an object that does not fit', () => {
    const stores = combineStores([fake('one', { has: [a] }), fake('two', { has: [a] })])
    expect((stores.find(a, ({ store }) => store.name === 'two') as StoreObject).store.name).toBe('two')
    expect(stores.find(a, () => false)).toBeUndefined()
  })

  test.each([false, true])(
    'passes over a store that cannot be read, whose fault counts only when no other has an answer (a promise: %s)',
    async (isAsync) => {
      const ill = fake('ill', {
        isAsync,
        find: () => {
          throw unavailable
        },
      })
      const illLater: Store = { ...ill, find: () => Promise.reject(unavailable) }
      const stores = combineStores([isAsync ? illLater : ill, fake('well', { has: [a], isAsync })])
      expect(await nameOf(stores.find(a))).toBe('well')
      await expect((async () => await stores.find(b))()).rejects.toBe(unavailable)
    },
  )

  test('a bug in a store is not passed over', () => {
    const broken = fake('broken', {
      find: () => {
        throw new TypeError('bug')
      },
    })
    expect(() => combineStores([broken, fake('well', { has: [a] })]).find(a)).toThrow(TypeError)
  })
})

describe('generation', () => {
  const away = () => {
    throw unavailable
  }

  test('moves when that of any store does', () => {
    let second = 5
    const stores = combineStores([fake('one', { generation: () => 3 }), fake('two', { generation: () => second })])
    const before = stores.generation()
    expect(stores.generation()).toBe(before)
    second++
    expect(stores.generation()).not.toBe(before)
  })

  test('equals nothing while a store cannot be read, and is a fault when none can', () => {
    const stores = combineStores([fake('one', { generation: away }), fake('two', {})])
    expect(stores.generation()).toBeNaN()
    expect(() =>
      combineStores([fake('one', { generation: away }), fake('two', { generation: away })]).generation(),
    ).toThrow(unavailable)
  })
})

test('combineStores refuses stores of different store directories by name', () => {
  expect(() => combineStores([fake('one', {}), fake('two', { storeDir: '/gnu/store' })])).toThrow(
    'Cannot serve "two" beside "one"',
  )
})
