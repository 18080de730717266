/** The post-build hook, run by real Nix, and by hand where something is broken. */
import { chmod, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'

import { runBurrow } from '../../appliance/burrow.ts'
import { createScratchDir } from '../../appliance/scratch-dir.ts'
import { type NixFixture, openNixFixture } from '../../fixtures/nix.ts'
import { openPushCache } from '../../fixtures/push-cache.ts'

const closureFile = fileURLToPath(new URL('../../fixtures/closure.nix', import.meta.url))

let nix: NixFixture

beforeAll(async () => {
  nix = await openNixFixture()
})

afterAll(() => nix[Symbol.asyncDispose]())

async function install(spoolName = 'spool') {
  const dir = await nix.makeDir('hook')
  const [file, spool] = [join(dir, 'hook'), join(dir, spoolName)]
  const { code, stdout, stderr } = await runBurrow(['post-build-hook', '--install', file, '--spool', spool], {
    cwd: dir,
  })
  expect([code, stderr]).toEqual([0, ''])
  return { dir, file, spool, stdout }
}

const out = `/nix/store/${'1'.repeat(32)}-app`
const drv = `/nix/store/${'2'.repeat(32)}-app.drv`

describe('the hook', () => {
  test('notes each build of real Nix, all outputs of it, and watch-store pushes them', async () => {
    const store = await nix.openStore()
    const { dir, file, spool } = await install()
    await store.runInside('nix-build', ['--no-out-link', closureFile, '-A', 'app', '--option', 'post-build-hook', file])
    const names = await readdir(spool)
    expect(names.map((name) => name.replace(/^.{32}-|\.\d+$/g, '')).sort()).toEqual([
      'app-1.0.drv',
      'base-1.0.drv',
      'lib-1.0.drv',
    ])
    const noted = (await Promise.all(names.map((name) => readFile(join(spool, name), 'utf8'))))
      .join('')
      .trim()
      .split(/\s+/)
    expect(noted.map((path) => path.slice(44)).sort()).toEqual(['app-1.0', 'app-1.0-dev', 'base-1.0', 'lib-1.0'])
    await using cache = await openPushCache(nix)
    await writeFile(join(dir, 'password'), 'secret\n', { mode: 0o600 })
    const env = {
      NIX_STATE_DIR: store.stateDir,
      BURROW_REAL_STORE_DIR: store.realStoreDir,
      BURROW_USER: 'ci',
      BURROW_PASSWORD_FILE: join(dir, 'password'),
    }
    expect(
      await runBurrow(['watch-store', '--once', '--spool', spool, '--to', cache.url], { cwd: dir, env }),
    ).toMatchObject({ code: 0 })
    for (const path of noted) expect(cache.depot.find(path.slice(11, 43))).toBeDefined()
    expect(await readdir(spool)).toEqual([])
  })

  test('does not fail a build when its folder is gone', async () => {
    const store = await nix.openStore()
    const { file, spool } = await install()
    await nix.run('rmdir', [spool])
    const built = await store.runInside('nix-build', [
      '--no-out-link',
      closureFile,
      '-A',
      'base',
      '--option',
      'post-build-hook',
      file,
    ])
    expect([built.code, built.stderr]).toEqual([
      0,
      expect.stringContaining(`burrow: cannot write to ${spool}; these paths are not pushed: /nix/store/`),
    ])
  })

  test('takes OUT_PATHS where Nix sets it, leaves nothing unfinished, and needs no Node', async () => {
    const { file, spool } = await install("it's a spool")
    const env = { PATH: '/usr/bin:/bin', DRV_PATH: drv, OUT_PATHS: `${out} ${out}-dev` }
    expect(
      await nix.run('/usr/bin/env', ['-i', ...Object.entries(env).map((pair) => pair.join('=')), file]),
    ).toMatchObject({ code: 0, stdout: '', stderr: '' })
    const [name, ...others] = await readdir(spool)
    expect([others, await readFile(join(spool, name!), 'utf8')]).toEqual([[], `${out} ${out}-dev\n`])
    expect((await readFile(file, 'utf8')).split('\n').filter((line) => /\bnode\b/.test(line))).toEqual([])
  })

  test.each([
    ['nothing is told', {}, ''],
    ['Nix cannot tell the outputs', { DRV_PATH: drv, NIX_REMOTE: 'unix:///nowhere/socket' }, ''],
  ])('succeeds when %s', async (_what, env, stderr) => {
    const { file, spool } = await install()
    expect(
      await nix.run('/usr/bin/env', ['-i', ...Object.entries(env).map((pair) => pair.join('=')), file]),
    ).toMatchObject({ code: 0, stderr })
    expect(await readdir(spool)).toEqual([])
  })

  test('succeeds, and says so, when the folder is a file', async () => {
    const { file, spool } = await install()
    await nix.run('rmdir', [spool])
    await writeFile(spool, 'in the way')
    const outcome = await nix.run('/usr/bin/env', ['-i', `DRV_PATH=${drv}`, `OUT_PATHS=${out}`, file])
    expect([outcome.code, outcome.stderr]).toEqual([
      0,
      `burrow: cannot write to ${spool}; these paths are not pushed: ${out}\n`,
    ])
  })
})

describe('burrow post-build-hook', () => {
  test('installs an executable and a private folder, tells the line for nix.conf, and changes nothing the second time', async () => {
    const { dir, file, spool, stdout } = await install()
    expect(stdout).toBe(
      `  create   ${spool} (mode 0700)\n  write    ${file} (mode 0755)\nAdd this line to nix.conf and restart the nix-daemon: post-build-hook = ${file}\n`,
    )
    expect([(await stat(file)).mode & 0o777, (await stat(spool)).mode & 0o777]).toEqual([0o755, 0o700])
    await chmod(dir, 0o755)
    const again = await runBurrow(['post-build-hook', '--install', file, '--spool', spool], { cwd: dir })
    expect(again.stdout).toContain(`  keep     ${spool}\n  keep     ${file}\n`)
    expect((await runBurrow(['post-build-hook', '--spool', spool], { cwd: dir })).stdout).toBe(
      await readFile(file, 'utf8'),
    )
  })

  test("overwrites nobody else's file", async () => {
    await using dir = await createScratchDir()
    await writeFile(dir.file('hook'), '#!/bin/sh\necho mine\n')
    expect(
      await runBurrow(['post-build-hook', '--install', 'hook', '--spool', 'spool'], { cwd: dir.path }),
    ).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('was not written by Burrow'),
    })
    expect(await readFile(dir.file('hook'), 'utf8')).toContain('echo mine')
  })
})
