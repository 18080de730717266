/**
 * `burrow serve` where there is no config: a quick tunnel if there is a cloudflared, and never anything that is open to
 * everybody.
 */
import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from '@jest/globals'

import { runBurrow, type Served, serveBurrow } from './burrow.ts'
import { createScratchDir, type ScratchDir } from './scratch-dir.ts'

const connector = fileURLToPath(new URL('../fixtures/connectors/connects-quickly', import.meta.url))

/** A PATH with a cloudflared on it that notes that it was called, tells its version, and opens a quick tunnel. */
async function createPath(dir: ScratchDir): Promise<string> {
  await mkdir(dir.file('path'))
  const script = `#!/bin/sh\necho "$@" >> ${dir.file('called')}\n[ "$1" = version ] && echo DEV && exit\nexec ${connector} "$@"\n`
  await writeFile(dir.file('path/cloudflared'), script, { mode: 0o755 })
  return `${dir.file('path')}:${bare}:/usr/bin:/bin`
}

/** Node, and nothing else. */
const bare = dirname(process.execPath)

const serve = (dir: ScratchDir, PATH: string, ...options: string[]): Promise<Served> =>
  serveBurrow(['--listen', '127.0.0.1:0', ...options], {
    cwd: dir.path,
    env: { PATH, STATE_DIRECTORY: dir.file('state'), CLOUDFLARED_BIN: dir.file('none') },
  })

async function stop(served: Served): Promise<void> {
  served.kill('SIGTERM')
  expect((await served.exited).code).toBe(0)
}

test('where a cloudflared is on PATH it opens a quick tunnel, which the generated user protects', async () => {
  await using dir = await createScratchDir()
  await using served = await serve(dir, await createPath(dir))
  const setup = await served.printed(/random-words\.trycloudflare\.com[\s\S]*quick tunnel is for testing[\s\S]*\n/)
  expect(setup).toMatch(/^machine random-words\.trycloudflare\.com login burrow password \S{32}$/m)
  expect(await served.logged(/Found cloudflared/)).toMatchObject({ path: dir.file('path/cloudflared'), version: 'DEV' })
  expect((await fetch(new URL('/nix-cache-info', served.url))).status).toBe(401)
  // The name is in no config.
  const { stdout } = await runBurrow(['client-config'], { cwd: dir.path, env: { STATE_DIRECTORY: dir.file('state') } })
  expect(stdout).toMatch(/^extra-substituters = https:\/\/random-words\.trycloudflare\.com$/m)
  await stop(served)
})

test('where there is none it serves on this machine, and says once how to get it', async () => {
  await using dir = await createScratchDir()
  await using served = await serve(dir, bare)
  expect(await served.printed(/^machine 127\.0\.0\.1 login burrow/m)).toContain(served.url)
  const { stdout } = await runBurrow(['client-config'], { cwd: dir.path, env: { STATE_DIRECTORY: dir.file('state') } })
  expect(stdout).toContain(`\nextra-substituters = ${served.url}\n`)
  await stop(served)
  expect(served.records.filter(({ msg }) => msg.includes('burrow tunnel install'))).toEqual([
    expect.objectContaining({
      level: 'info',
      msg: expect.stringMatching(/^This cache can only be reached from this machine\. /),
    }),
  ])
})

test('with --no-tunnel it does not even look', async () => {
  await using dir = await createScratchDir()
  await using served = await serve(dir, await createPath(dir), '--no-tunnel')
  await served.printed(/^machine 127\.0\.0\.1 login burrow/m)
  await stop(served)
  expect(existsSync(dir.file('called'))).toBe(false)
  expect(served.records.filter(({ msg }) => /cloudflared|tunnel/.test(msg))).toEqual([])
})
