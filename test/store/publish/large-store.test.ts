/** A store of 100,000 paths: its published paths are determined in the other thread, while this one goes on answering. */
import { rename, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { afterAll, beforeAll, expect, test } from '@jest/globals'

import { hashPartOf } from '../../../src/nix/store-path.ts'
import { openLocalStore } from '../../../src/store/nix/local-store.ts'
import { openPublishedStore } from '../../../src/store/publish/published-store.ts'
import { get, openTestCache } from '../../fixtures/cache.ts'
import { type NixFixture, openNixFixture, type ScratchStore } from '../../fixtures/nix.ts'
import { everything, openPublished } from '../../fixtures/published.ts'
import { recordLog } from '../recorded-log.ts'

const count = 100_000
let nix: NixFixture
let scratch: ScratchStore
const digits = '0123456789abcdfghijklmnpqrsvwxyz'

/** All differ; the last digits say which. */
function pathOf(index: number): string {
  let hashPart = ''
  for (let rest = index, at = 0; at < 32; at++, rest = Math.floor(rest / 32)) hashPart = digits[rest % 32]! + hashPart
  return `/nix/store/${hashPart}-object-${index}`
}

beforeAll(async () => {
  nix = await openNixFixture()
  scratch = await nix.openStore()
  const database = new DatabaseSync(scratch.database)
  const path = database.prepare(
    'insert into ValidPaths (id, path, hash, registrationTime, narSize) values (?, ?, ?, 1700000000, 1000)',
  )
  const reference = database.prepare('insert or ignore into Refs values (?, ?)')
  database.exec('begin')
  for (let index = 1; index <= count; index++) {
    path.run(index, pathOf(index), `sha256:${'ab'.repeat(32)}`)
    // A chain of everything, and short cuts.
    if (index > 1) reference.run(index, index - 1)
    for (let shortCut = 1; shortCut <= 4; shortCut++)
      if (index > 9) reference.run(index, (index * shortCut) % (index - 1) || 1)
  }
  database.exec('commit')
  database.close()
})
afterAll(() => nix[Symbol.asyncDispose]())

const openLocal = () =>
  openLocalStore({
    ...scratch,
    daemonSocket: undefined,
    leases: { narInfoSeconds: 0, maxPaths: 10 },
    log: recordLog(),
  })

test('what stays published is answered while the others are determined', async () => {
  await using local = await openLocal()
  const link = join(await nix.makeDir('root'), 'root')
  await symlink(pathOf(count), link)
  await using store = await openPublished(local, scratch, { ...everything, roots: [link] })
  expect(store.health().published).toMatchObject({ paths: count, ofPaths: count })
  await using cache = await openTestCache(scratch, { stores: [store] })
  const url = `/${hashPartOf(pathOf(7))}.narinfo`
  expect((await get(cache.port, url)).status).toBe(200)

  await symlink(pathOf(count / 2), `${link}.tmp`)
  await rename(`${link}.tmp`, link)
  const isSwitched = () => store.health().published!.paths === count / 2
  do expect((await get(cache.port, url)).status).toBe(200)
  while (!isSwitched())
  expect((await get(cache.port, `/${hashPartOf(pathOf(count / 2 + 1))}.narinfo`)).status).toBe(404)
  expect((await get(cache.port, `/${hashPartOf(pathOf(count / 2))}.narinfo`)).status).toBe(200)
})

test('the answering thread takes its turns meanwhile, and gets one message', async () => {
  await using local = await openLocal()
  const messages: unknown[] = []
  let changes = 0
  const first = Promise.withResolvers<void>()
  await using store = openPublishedStore({
    local,
    policy: { ...everything, deny: ['object-5*'] },
    place: scratch,
    log: recordLog(),
    onChange: () => {
      changes++
      first.resolve()
    },
    startThread: (workerData) => {
      const url = new URL('../../../src/store/publish/publication-worker.ts', import.meta.url)
      return new Worker(url, { workerData }).on('message', (message) => messages.push(message))
    },
  })
  let turns = 0
  const counted = (async () => {
    for (; changes === 0; turns++) await nextTurn()
  })()
  await first.promise
  await counted
  expect(turns).toBeGreaterThan(100)
  expect(messages).toHaveLength(1)
  expect(changes).toBe(1)
  // What is above the first denied one refers to it.
  expect(store.health().published).toMatchObject({ paths: 4, ofPaths: count })
})
