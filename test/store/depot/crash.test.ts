/** What was acknowledged is whole after any end of the run; what was not is absent or whole, never half. */
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { describe, expect, test } from '@jest/globals'
import { workload } from './crash-workload.ts'
import { type Made, TestDepot } from './fixture.ts'
import { manyObjects } from './many-objects.ts'
import { RecordingDisk } from './recording-disk.ts'

/** Opens what a crash has left and looks at everything that may be in it. */
async function expectSound(dir: string, acknowledged: readonly string[], made: readonly Made[]): Promise<void> {
  await using test = new TestDepot(dir)
  await test.reopenHere()
  expect(test.depot.figures().recovered.lostNars).toBe(0)
  expect(readdirSync(join(dir, 'in'))).toEqual([])
  for (const one of made) {
    const found = test.find(one)
    if (acknowledged.includes(one.path.storePath)) expect(found).toBeDefined()
    if (found === undefined) continue
    const bytes = await test.read(one)
    // Joined from parts, the file has its own compression.
    if (one.compression !== 'none') expect(bytes.equals(one.file)).toBe(true)
    for (const reference of found.info.references) expect(test.depot.find(reference.slice(11, 43))).toBeDefined()
  }
  // The damage, if any, is not one that keeps the next push out.
  for (const one of made) expect(['registered', 'present', 'conflict']).toContain((await test.push(one)).status)
  expect((await test.verify()).damaged).toEqual([])
}

describe('a power cut', () => {
  test('at any write, flush, rename or commit leaves what was acknowledged whole, and no half of anything', async () => {
    const root = mkdtempSync(join(tmpdir(), 'burrow-cut-'))
    try {
      const { made, run } = workload()
      const disk = new RecordingDisk(join(root, 'depot'), join(root, 'snapshots'))
      {
        await using test = new TestDepot(join(root, 'depot'))
        await test.reopenHere({ reserveBytes: 0 }, disk)
        await run(test, (label) => disk.acknowledge(label))
      }
      expect(disk.cuts.length).toBeGreaterThan(60)
      expect(disk.cuts.at(-1)!.acknowledged).toHaveLength(made.length)
      for (const [at, cut] of disk.cuts.entries()) {
        const dir = join(root, `cut-${at}`)
        mkdirSync(dir)
        cut.build(dir)
        try {
          await expectSound(dir, cut.acknowledged, made)
        } catch (error) {
          throw new Error(`After a cut at ${cut.label}: ${(error as Error).message}`, { cause: error })
        }
        rmSync(dir, { recursive: true })
      }
    } finally {
      rmSync(root, { recursive: true, force: true })
    }
  }, 900_000)
})

describe('kill -9', () => {
  const program = fileURLToPath(new URL('./killed-depot.ts', import.meta.url))

  /**
   * Runs the workload in a process that kills itself at the given operation; resolves to what it acknowledged before.
   */
  async function runUntil(dir: string, operation: number): Promise<{ acknowledged: string[]; isKilled: boolean }> {
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', program, dir, String(operation)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let output = ''
    child.stdout.on('data', (text: Buffer) => (output += text.toString()))
    const signal = await new Promise<string | null>((resolve) => child.once('close', (_code, by) => resolve(by)))
    return { acknowledged: output.split('\n').filter((line) => line !== ''), isKilled: signal === 'SIGKILL' }
  }

  test('at every step of a real process leaves what it acknowledged, and frees the lock', async () => {
    const root = mkdtempSync(join(tmpdir(), 'burrow-kill-'))
    try {
      const { made } = workload()
      let kills = 0
      for (let operation = 1; ; operation++) {
        const dir = join(root, `run-${operation}`)
        const { acknowledged, isKilled } = await runUntil(dir, operation)
        if (!isKilled) {
          expect(acknowledged).toHaveLength(made.length)
          break
        }
        kills++
        await expectSound(dir, acknowledged, made)
        rmSync(dir, { recursive: true })
      }
      expect(kills).toBeGreaterThan(20)
    } finally {
      rmSync(root, { recursive: true, force: true })
    }
  }, 900_000)

  test.each([1, 7, 20, 33])(
    'after %i acknowledgements of forty pushes at once, with the writer in its thread, leaves what was acknowledged',
    async (count) => {
      const root = mkdtempSync(join(tmpdir(), 'burrow-kill-'))
      try {
        const dir = join(root, 'depot')
        const thread = fileURLToPath(new URL('./killed-thread.ts', import.meta.url))
        const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', thread, dir], {
          stdio: ['ignore', 'pipe', 'inherit'],
        })
        let output = ''
        child.stdout.on('data', (text: Buffer) => {
          output += text.toString()
          if (output.split('\n').length > count) child.kill('SIGKILL')
        })
        const signal = await new Promise<string | null>((resolve) => child.once('close', (_code, by) => resolve(by)))
        const acknowledged = output.split('\n').filter((line) => line !== '')
        expect(acknowledged.length).toBeGreaterThanOrEqual(count)
        expect(signal).toBe('SIGKILL')
        await expectSound(dir, acknowledged, manyObjects())
      } finally {
        rmSync(root, { recursive: true, force: true })
      }
    },
  )
})
