import { mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'

import { OpenFiles } from '../../src/disk/open-files.ts'

let dir: string

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'burrow-open-files-'))
  for (const name of ['a', 'b', 'c']) writeFileSync(join(dir, name), name)
})
afterEach(() => rmSync(dir, { recursive: true }))

/** Names of the files in the test's directory that this process has open. */
function openNames(): string[] {
  return readdirSync('/proc/self/fd')
    .flatMap((fd) => {
      try {
        const target = readlinkSync(`/proc/self/fd/${fd}`)
        return target.startsWith(`${dir}/`) ? [target.slice(dir.length + 1)] : []
      } catch {
        return []
      }
    })
    .sort()
}

describe('untilClosed', () => {
  test('untilClosed resolves when every released file is closed, and does not wait for files in use', async () => {
    await using files = new OpenFiles()
    const [a, b, c] = await Promise.all(['a', 'b', 'c'].map((name) => files.open(join(dir, name))))
    a!.release()
    b!.release()
    expect(files.count).toBe(3)
    await Promise.all([files.untilClosed(), files.untilClosed()])
    expect(files.count).toBe(1)
    expect(openNames()).toEqual(['c'])
    c!.release()
    await files.untilClosed()
    expect(openNames()).toEqual([])
  })

  test('untilClosed resolves at once when nothing is being closed', async () => {
    await using files = new OpenFiles()
    const a = await files.open(join(dir, 'a'))
    await files.untilClosed()
    expect(openNames()).toEqual(['a'])
    a.release()
  })
})
