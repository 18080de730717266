/**
 * What the operator sees of a push to a real Burrow without a Nix store of its own: in the log, in `burrow status`, and
 * in the metrics.
 */
import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'

import { afterAll, beforeAll, expect, test } from '@jest/globals'

import { runBurrow, serve, writeConfig } from '../../appliance/burrow.ts'
import { createScratchDir } from '../../appliance/scratch-dir.ts'
import { type NixFixture, openNixFixture, type ScratchStore } from '../../fixtures/nix.ts'

let nix: NixFixture
let store: ScratchStore
let path: string

beforeAll(async () => {
  nix = await openNixFixture()
  store = await nix.openStore()
  path = await store.addFile('pushed', randomBytes(300_000))
})

afterAll(() => nix[Symbol.asyncDispose]())

test('a push and a refused one are in the log, by user; status and metrics show the depot', async () => {
  await using dir = await createScratchDir()
  const env = {
    STATE_DIRECTORY: dir.file('state'),
    NIX_STATE_DIR: store.stateDir,
    BURROW_REAL_STORE_DIR: store.realStoreDir,
  }
  const users = [{ name: 'ci', password: 'secret', access: ['pull', 'push'] }, 'ben:secret']
  await writeConfig(dir, { users, tunnel: 'off', operator: '127.0.0.1:0', store: { realDir: dir.file('none') } })
  await using served = await serve(dir, env)
  const push = async (user: string) => {
    await writeFile(dir.file('netrc'), `machine 127.0.0.1 login ${user} password secret\n`, { mode: 0o600 })
    return await runBurrow(['push', '--to', served.url, '--netrc-file', dir.file('netrc'), path], {
      cwd: dir.path,
      env,
    })
  }
  expect(await push('ci')).toMatchObject({ code: 0 })
  expect(await push('ben')).toMatchObject({ code: 77 })

  const operator = String((await served.logged(/Burrow is ready/)).operator)
  const report = (await (await fetch(`${operator}/status`)).json()) as { stores: { depot?: object }[]; traffic: object }
  const { depot } = report.stores.find((one) => one.depot !== undefined)!
  expect(depot).toMatchObject({
    objects: 1,
    unfinishedUploads: 0,
    damaged: 0,
    pushedToday: [{ user: 'ci', bytes: expect.any(Number) }],
  })
  expect(report.traffic).toMatchObject({ pushedPaths: 1 })
  const metrics = await (await fetch(`${operator}/metrics`)).text()
  for (const line of ['burrow_depot_objects 1', 'burrow_pushed_paths_total 1', 'burrow_push_refused_paths_total 1'])
    expect(metrics.split('\n')).toContain(line)
  expect(Number(/^burrow_received_bytes_total (\d+)$/m.exec(metrics)?.[1])).toBeGreaterThan(300_000)

  served.kill('SIGTERM')
  await served.exited
  expect(await served.logged(/^Received a push$/)).toMatchObject({
    user: 'ci',
    paths: 1,
    receivedBytes: expect.any(Number),
    address: '127.0.0.1',
  })
  expect(await served.logged(/^Refused a push/)).toMatchObject({
    user: 'ben',
    paths: 1,
    reasons: ['User ben may pull, not push'],
  })
})
