/** When Burrow is killed its connector goes with it, or is ended by the next start; and nobody else ever is. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from '@jest/globals'

import { findDeathSignal } from '../../../appliance/tunnel/launch/death-signal.ts'
import { openProcessTable, parseStartTime } from '../../../appliance/tunnel/launch/process-identity.ts'
import type { ConnectorRecord } from '../../../appliance/tunnel/tunnel.ts'
import { createScratchDir } from '../scratch-dir.ts'
import { endProcess, openLifelines } from './lifelines.ts'
import { type ScriptedTunnel, startScripted } from './scripted-tunnel.ts'
import { TestClock } from './test-clock.ts'

const configFile = '/nowhere/burrow-test/config.yml'
const parentFile = fileURLToPath(new URL('./parent-process.ts', import.meta.url))

interface Parent extends AsyncDisposable {
  readonly child: ChildProcess
  readonly exited: Promise<unknown>
}

/** A process of its own with a tunnel in it, once that is connected. */
async function startParent(
  behaviour: string,
  lifelinePort: number,
  stateFile: string,
  searchPath: string,
  then: 'stay' | 'stop',
): Promise<Parent> {
  const args = [
    '--disable-warning=ExperimentalWarning',
    parentFile,
    behaviour,
    String(lifelinePort),
    stateFile,
    searchPath,
    then,
  ]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = once(child, 'exit')
  await once(createInterface({ input: child.stdout! }), 'line')
  return {
    child,
    exited,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await exited
    },
  }
}

const searchPath = process.env.PATH ?? ''
const hasSetpriv = (await findDeathSignal(searchPath, new TestClock())).length > 0
const testWithSetpriv = hasSetpriv ? test : test.skip

testWithSetpriv('a connector dies with a Burrow that is killed, where there is setpriv', async () => {
  await using dir = await createScratchDir()
  await using lifelines = await openLifelines()
  await using parent = await startParent('connects', lifelines.port, dir.file('state.json'), searchPath, 'stay')
  const life = await lifelines.life(0)
  parent.child.kill('SIGKILL')
  await life.over
})

test.each([
  ['connects', 'SIGTERM'],
  ['ignores-sigterm', 'SIGKILL'],
])('without setpriv, the next start ends a connector that %s', async (behaviour, lastSignal) => {
  await using dir = await createScratchDir()
  await using lifelines = await openLifelines()
  await using parent = await startParent(behaviour, lifelines.port, dir.file('state.json'), '', 'stay')
  const orphan = await lifelines.life(0)
  parent.child.kill('SIGKILL')
  await parent.exited
  expect(process.kill(orphan.pid, 0)).toBe(true)

  const records: ConnectorRecord[] = JSON.parse(await readFile(dir.file('state.json'), 'utf8'))
  expect(records).toMatchObject([{ pid: orphan.pid, configFile, ownerPid: parent.child.pid }])
  const signals: string[] = []
  const asked = Promise.withResolvers<void>()
  const parts = {
    endProcess: (pid: number, signal: 'SIGTERM' | 'SIGKILL' | 0) => {
      if (pid === orphan.pid) signals.push(String(signal))
      asked.resolve()
      return endProcess(pid, signal)
    },
  }
  await using scripted = await startScripted('connects', { records, parts })
  await asked.promise
  await turnUntil(scripted, () => signals.at(-1) === lastSignal)
  await orphan.over
  await turnUntil(scripted, () => scripted.prepared() > 0)
  expect(signals).toEqual(lastSignal === 'SIGTERM' ? ['SIGTERM'] : ['SIGTERM', 'SIGKILL'])
  expect(
    scripted.entries.filter(({ message }) => message.startsWith('A connector of an earlier start still runs')),
  ).toHaveLength(1)
  expect(scripted.memory.connectors.map(({ pid }) => pid)).not.toContain(orphan.pid)
})

/** The sweep looks every tenth of a second whether the orphan has ended. */
async function turnUntil({ clock, until }: ScriptedTunnel, isSo: () => boolean): Promise<void> {
  const soon = until(isSo)
  for (let looks = 0; !isSo(); clock.advance(100)) {
    if (clock.count(100) === looks) await Promise.race([clock.set(100), soon])
    looks = clock.count(100)
  }
}

describe('a process that is not certainly our orphan is left alone', () => {
  const gone = { ownerPid: 2 ** 22 + 1, ownerStartTime: '1' }
  const innocentArgs = ['-e', 'process.stdout.write("up\\n"); setInterval(() => {}, 1 << 30)']

  async function withInnocent(
    toRecord: (pid: number, startTime: string) => Promise<ConnectorRecord> | ConnectorRecord,
    isKept: boolean,
  ): Promise<void> {
    const innocent = spawn(process.execPath, [...innocentArgs, configFile], { stdio: ['ignore', 'pipe', 'inherit'] })
    try {
      await once(innocent.stdout!, 'data')
      const processes = await openProcessTable()
      const record = await toRecord(innocent.pid!, (await processes.findStartTime(innocent.pid!))!)
      await using scripted = await startScripted('connects', { records: [record] })
      await scripted.untilState('connected')
      expect(process.kill(innocent.pid!, 0)).toBe(true)
      expect(innocent.signalCode).toBeNull()
      expect(scripted.memory.connectors.some(({ pid }) => pid === innocent.pid)).toBe(isKept)
    } finally {
      innocent.kill('SIGKILL')
      await once(innocent, 'exit')
    }
  }

  test('the number was given anew: another start time', () =>
    withInnocent((pid, startTime) => ({ pid, startTime: `${startTime}0`, configFile, ...gone }), false))

  test('its command line is not the recorded one', () =>
    withInnocent((pid, startTime) => ({ pid, startTime, configFile: '/nowhere/other.yml', ...gone }), false))

  test('no config file was recorded', () =>
    withInnocent((pid, startTime) => ({ pid, startTime, configFile: '', ...gone }), false))

  test('its owner lives: another Burrow, or this one', () =>
    withInnocent(async (pid, startTime) => {
      const processes = await openProcessTable()
      return {
        pid,
        startTime,
        configFile,
        ownerPid: process.pid,
        ownerStartTime: (await processes.findStartTime(process.pid))!,
      }
    }, true))

  test.each([0, 1, -1, 1.5])('number %d is no process to end', async (pid) => {
    const signals: number[] = []
    const parts = { endProcess: (number: number) => signals.push(number) > 0 }
    await using scripted = await startScripted('exits-silently', {
      records: [{ pid, startTime: '1', configFile, ...gone }],
      parts,
    })
    await scripted.untilState('backing-off')
    expect(signals).toEqual([])
  })
})

test('a stopped tunnel leaves nothing in the process that would keep it alive', async () => {
  await using dir = await createScratchDir()
  await using lifelines = await openLifelines()
  // It never calls exit: it ends because nothing is left to wait for.
  await using parent = await startParent('connects', lifelines.port, dir.file('state.json'), searchPath, 'stop')
  expect(await parent.exited).toEqual([0, null])
  await (await lifelines.life(0)).over
  expect(JSON.parse(await readFile(dir.file('state.json'), 'utf8'))).toEqual([])
})

describe('parseStartTime', () => {
  const rest = '1 1 1 0 -1 4194560 100 0 0 0 1 2 0 0 20 0 1 0 8765 1000 1 18446744073709551615'
  test.each([
    [`42 (node) S ${rest}`, '8765'],
    [`42 (a) R (b ) S) S ${rest}`, '8765'],
    [`42 (a\nb) S ${rest}`, '8765'],
    [`42 (node) Z ${rest}`, undefined],
    ['42 (node) S 1', undefined],
    ['', undefined],
    [undefined, undefined],
  ])('%j', (stat, startTime) => {
    expect(parseStartTime(stat)).toBe(startTime)
  })
})

test('without /proc, ps tells the same of a process each time, and nothing of one that is gone', async () => {
  await using dir = await createScratchDir()
  const processes = await openProcessTable(dir.path)
  const startTime = await processes.findStartTime(process.pid)
  expect(startTime).toMatch(/\d\d:\d\d:\d\d/)
  expect(await processes.findStartTime(process.pid)).toBe(startTime)
  expect(await processes.findCommandLine(process.pid)).toContain('node')
  expect(await processes.findStartTime(2 ** 22 + 1)).toBeUndefined()
})

test('with a /proc of its own, names of processes cannot forge a start time', async () => {
  await using dir = await createScratchDir()
  for (const [name, comm] of [
    ['self', 'x'],
    ['42', ') S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 666 ('],
  ] as const) {
    await mkdir(dir.file(name))
    await writeFile(
      `${dir.file(name)}/stat`,
      `42 (${comm}) S 1 1 1 0 -1 4194560 100 0 0 0 1 2 0 0 20 0 1 0 8765 1000\n`,
    )
  }
  expect(await (await openProcessTable(dir.path)).findStartTime(42)).toBe('8765')
})
