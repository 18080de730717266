import { describe, expect, test } from '@jest/globals'

import { Fault } from '../../../src/faults.ts'
import { NameIndex } from '../../../src/http/names/name-index.ts'
import { PathFeed } from '../../../src/http/names/path-feed.ts'
import { hashPartOf, nameOf } from '../../../src/nix/store-path.ts'
import type { ListedPath, Store, StoreObject } from '../../../src/store/store.ts'

const alphabet = '0123456789abcdfghijklmnpqrsvwxyz'
/** A path of its own for each number. */
const pathOf = (number: number, name: string) =>
  `/nix/store/${'a'.repeat(26)}${[5, 4, 3, 2, 1, 0].map((place) => alphabet[Math.floor(number / 32 ** place) % 32]).join('')}-${name}`

/** Lists a thousand at a time, as stores do. */
class ListedStore {
  readonly storeDir = '/nix/store'
  readonly listed: ListedPath[] = []
  readonly valid = new Set<string>()
  isUnreadable = false

  add(storePath: string, registrationTime: number): string {
    this.listed.push({ storePath, registrationTime })
    this.valid.add(storePath)
    return storePath
  }

  pathsAfter(cursor: string) {
    if (this.isUnreadable) throw new Fault('store-unavailable', 'closed')
    const paths = this.listed.slice(Number(cursor), Number(cursor) + 1000)
    return { paths, cursor: String(Number(cursor) + paths.length) }
  }

  find(hashPart: string): StoreObject | undefined {
    const storePath = [...this.valid].find((path) => hashPartOf(path) === hashPart)
    return storePath === undefined ? undefined : ({ info: { storePath } } as unknown as StoreObject)
  }
}

function open(...stores: ListedStore[]) {
  const feed = new PathFeed(stores as unknown as Store[])
  return { feed, index: new NameIndex(feed) }
}

const namesOf = ({ objects }: { readonly objects: readonly StoreObject[] }) =>
  objects.map(({ info }) => nameOf(info.storePath))

describe('NameIndex', () => {
  test('finds names that contain all words, in any case and order, the newest first', async () => {
    const store = new ListedStore()
    for (const [at, name] of ['hello-2.10', 'libHello-1.0', 'hello-2.12', 'world-2.12'].entries())
      store.add(pathOf(at, name), at)
    const { feed, index } = open(store)
    await feed.update()
    expect(namesOf(await index.search(['hello'], 9))).toEqual(['hello-2.12', 'libHello-1.0', 'hello-2.10'])
    expect(namesOf(await index.search(['2.12', 'HELLO'], 9))).toEqual(['hello-2.12'])
    expect(namesOf(await index.search(['.*'], 9))).toEqual([])
    expect(namesOf(await index.search([], 9))).toHaveLength(4)
  })

  test('finds the beginning of a hash part, and not its middle', async () => {
    const store = new ListedStore()
    const path = store.add(pathOf(77, 'hello'), 1)
    const { feed, index } = open(store)
    await feed.update()
    expect(namesOf(await index.search([hashPartOf(path)], 9))).toEqual(['hello'])
    expect(namesOf(await index.search([hashPartOf(path).slice(10)], 9))).toEqual([])
  })

  test('orders the paths of several stores by their time', async () => {
    const [nix, depot] = [new ListedStore(), new ListedStore()]
    nix.add(pathOf(1, 'one'), 10)
    nix.add(pathOf(3, 'three'), 30)
    depot.add(pathOf(4, 'four'), 40)
    depot.add(pathOf(2, 'two'), 20)
    const { feed, index } = open(depot, nix)
    await feed.update()
    expect(namesOf(await index.search([], 9))).toEqual(['four', 'three', 'two', 'one'])
  })

  test('goes on where a page ended, through everything once', async () => {
    const store = new ListedStore()
    for (let at = 0; at < 25; at++) store.add(pathOf(at, `p-${at}`), at)
    const { feed, index } = open(store)
    await feed.update()
    const found: string[] = []
    for (let before: number | undefined, isLast = false; !isLast; ) {
      const page = await index.search(['p-'], 10, before)
      found.push(...namesOf(page))
      before = page.next
      isLast = before === undefined
    }
    expect(found).toEqual(Array.from({ length: 25 }, (_, at) => `p-${24 - at}`))
  })

  test('shows neither what is gone nor a path that came back twice, and finds what is new', async () => {
    const store = new ListedStore()
    const old = store.add(pathOf(1, 'hello-1'), 1)
    const gone = store.add(pathOf(2, 'hello-2'), 2)
    const { feed, index } = open(store)
    await feed.update()
    store.valid.delete(gone)
    store.add(old, 3)
    store.add(pathOf(3, 'hello-3'), 4)
    await feed.update()
    expect(namesOf(await index.search(['hello'], 9))).toEqual(['hello-3', 'hello-1'])
  })

  test('is complete only when each store was read', async () => {
    const store = new ListedStore()
    store.add(pathOf(1, 'hello'), 1)
    store.isUnreadable = true
    const { feed, index } = open(store)
    await feed.update()
    expect(index.isComplete).toBe(false)
    store.isUnreadable = false
    await feed.update()
    expect([index.isComplete, index.size]).toEqual([true, 1])
  })

  test('a search through a hundred thousand names lets other work in between', async () => {
    const store = new ListedStore()
    for (let at = 0; at < 100_000; at++) store.add(pathOf(at, `package-${at}`), at)
    const { feed, index } = open(store)
    await feed.update()
    let turns = 0
    let isOver = false
    const count = () => {
      turns++
      if (!isOver) setImmediate(count)
    }
    setImmediate(count)
    expect(namesOf(await index.search(['absent'], 9))).toEqual([])
    isOver = true
    expect(turns).toBeGreaterThanOrEqual(4)
  })
})
