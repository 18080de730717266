import { linkSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'

import { DirectoryLocked, takeDirectoryLock, tryFileLock } from '../../src/disk/lock.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'lock-'))
})
afterEach(() => rmSync(dir, { recursive: true }))

test('takeDirectoryLock refuses a second holder with the process that holds it, until that gives it back', () => {
  const first = takeDirectoryLock(dir, 4711)
  expect(() => takeDirectoryLock(dir, 4712)).toThrow(DirectoryLocked)
  expect(() => takeDirectoryLock(dir, 4712)).toThrow('process 4711 is using it')
  first[Symbol.dispose]()
  takeDirectoryLock(dir, 4712)[Symbol.dispose]()
})

test('tryFileLock is undefined while another holds the lock, and leaves nothing beside its one empty file', () => {
  const file = join(dir, 'x.lock')
  const first = tryFileLock(file)!
  expect(tryFileLock(file)).toBeUndefined()
  expect(readdirSync(dir)).toEqual(['x.lock'])
  first[Symbol.dispose]()
  const second = tryFileLock(file)!
  expect(readdirSync(dir)).toEqual(['x.lock'])
  second[Symbol.dispose]()
})

test("tryFileLock names the system's reason when there is no such directory", () => {
  expect(() => tryFileLock(join(dir, 'none/x.lock'))).toThrow(/ENOENT/)
})

test('tryFileLock takes the place of a socket that a killed Burrow of the first versions left', async () => {
  const file = join(dir, 'x.lock')
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(join(dir, 'socket'), resolve))
  // Node removes the name that it listened on; the other one stays, as after kill -9.
  linkSync(join(dir, 'socket'), file)
  await new Promise((resolve) => server.close(resolve))
  const lock = tryFileLock(file)!
  expect(lock).toBeDefined()
  expect(tryFileLock(file)).toBeUndefined()
  lock[Symbol.dispose]()
})
