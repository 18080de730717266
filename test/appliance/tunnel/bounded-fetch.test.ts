import { writeFile } from 'node:fs/promises'
import { expect, test } from '@jest/globals'

import { watchFetch } from '../../../appliance/tunnel/find/bounded-fetch.ts'
import { createScratchDir } from '../scratch-dir.ts'
import { TestClock } from './test-clock.ts'

const limits = { wholeMs: 60_000, stallMs: 30_000, maxBytes: 10 }

test('watchFetch ends what grows larger than any program, whole or in files beside it', async () => {
  await using dir = await createScratchDir()
  const clock = new TestClock()
  let stops = 0
  const watched = watchFetch(
    { done: new Promise(() => {}), stop: async () => void stops++ },
    { dir: dir.path, limits, clock, signal: new AbortController().signal, onProgress: () => {} },
  )
  await writeFile(dir.file('cloudflared'), '123456')
  await writeFile(dir.file('cloudflared.tgz'), '123456')
  clock.advance(250)
  await expect(watched).rejects.toThrow(/is larger than .* MiB/)
  expect([stops, clock.pending]).toEqual([1, 0])
})

test('watchFetch looks at the size once more when all is said to be there', async () => {
  await using dir = await createScratchDir()
  const clock = new TestClock()
  await writeFile(dir.file('cloudflared'), '12345678901')
  const watch = { dir: dir.path, limits, clock, signal: new AbortController().signal, onProgress: () => {} }
  await expect(watchFetch({ done: Promise.resolve(), stop: async () => {} }, watch)).rejects.toThrow(/is larger than/)
})

test('watchFetch does not begin to wait when it is interrupted already', async () => {
  await using dir = await createScratchDir()
  const watch = { dir: dir.path, limits, clock: new TestClock(), signal: AbortSignal.abort(), onProgress: () => {} }
  await expect(watchFetch({ done: new Promise(() => {}), stop: async () => {} }, watch)).rejects.toMatchObject({ code: 'interrupted' })
})
