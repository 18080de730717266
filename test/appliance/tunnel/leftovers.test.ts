/** What a Burrow that was killed leaves in its runtime directory, by real processes. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'

import { makeConnectorDir, sweepLeftovers } from '../../../appliance/tunnel/launch/leftovers.ts'
import { openProcessTable } from '../../../appliance/tunnel/launch/process-identity.ts'
import { serve, serveBurrow, writeConfig } from '../burrow.ts'
import { createScratchDir } from '../scratch-dir.ts'
import { connectorFile } from './scripted-launch.ts'
import { token } from './tunnel-identity.ts'

const noLog = { debug() {}, info() {}, warn() {}, error() {} }

test('sweepLeftovers removes the directories of processes that have ended, and no others', async () => {
  await using dir = await createScratchDir()
  const processes = await openProcessTable()
  const other = spawn('sleep', ['600'])
  const runtimeDir = dir.file('run')
  const ownerOf = async (pid: number) => ({ pid, startTime: await processes.findStartTime(pid) })
  const dead = await makeConnectorDir(runtimeDir, await ownerOf(other.pid!))
  await writeFile(join(dead, 'token'), 'secret')
  const mine = await ownerOf(process.pid)
  const kept = [
    await makeConnectorDir(runtimeDir, mine),
    await makeConnectorDir(runtimeDir, undefined),
    await makeConnectorDir(runtimeDir, { pid: 1, startTime: undefined }),
  ]
  // A number that was given anew.
  const reused = await makeConnectorDir(runtimeDir, { pid: process.pid, startTime: '1' })
  for (const name of ['burrow.sock', 'connector-x', 'connector-9999999999.1-abc'])
    kept.push(await mkdir(join(runtimeDir, name)).then(() => join(runtimeDir, name)))
  await sweepLeftovers(runtimeDir, processes, noLog)
  expect(await readdir(runtimeDir)).toContain(dead.slice(runtimeDir.length + 1))
  other.kill('SIGKILL')
  await once(other, 'exit')
  await sweepLeftovers(runtimeDir, processes, noLog)
  expect((await readdir(runtimeDir)).sort()).toEqual(kept.map((name) => name.slice(runtimeDir.length + 1)).sort())
  expect(kept).not.toContain(reused)
})

test('sweepLeftovers takes a runtime directory that is not there for an empty one', async () => {
  await using dir = await createScratchDir()
  const told: string[] = []
  await sweepLeftovers(dir.file('nothing'), await openProcessTable(), {
    ...noLog,
    warn: (_fields, message) => void told.push(message),
  })
  expect(told).toEqual([])
})

test('a Burrow killed while its connector reads the token leaves a copy of it until the next start, and no longer', async () => {
  await using dir = await createScratchDir()
  await writeFile(dir.file('token'), token, { mode: 0o600 })
  const content = {
    users: ['ben:secret'],
    larder: false,
    state: { dir: dir.file('state') },
    store: { realDir: dir.file('nix/store') },
  }
  await writeConfig(dir, {
    ...content,
    tunnel: { mode: 'token', tokenFile: dir.file('token'), binary: connectorFile('never-answers') },
  })
  await using first = await serve(dir)
  await first.logged(/^cloudflared was started/)
  const [name] = await readdir(dir.file('state/run'))
  const files = await readdir(join(dir.file('state/run'), name!))
  expect(
    await readFile(join(dir.file('state/run'), name!, files.find((file) => file.startsWith('token-'))!), 'utf8'),
  ).toBe(token)
  first.kill('SIGKILL')
  await first.exited
  // Whether there is still a tunnel or not.
  await using second = await serveBurrow(['--no-tunnel'], { cwd: dir.path })
  await second.logged(/^Removed what a Burrow that was killed left/)
  expect(await readdir(dir.file('state/run'))).toEqual([])
})
