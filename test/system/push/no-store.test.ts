/**
 * A machine without a Nix store, without a config: what the first start prints is enough to push to it and to pull from
 * it.
 */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'

import { afterAll, beforeAll, expect, test } from '@jest/globals'

import { runBurrow } from '../../appliance/burrow.ts'
import { createScratchDir, type ScratchDir } from '../../appliance/scratch-dir.ts'
import { type NixFixture, openNixFixture } from '../../fixtures/nix.ts'

const main = fileURLToPath(new URL('../../../appliance/main.ts', import.meta.url))

let nix: NixFixture

beforeAll(async () => {
  nix = await openNixFixture()
})

afterAll(() => nix[Symbol.asyncDispose]())

/** `burrow serve` in a mount namespace of its own, where /nix is empty. */
async function serveWithoutStore(dir: ScratchDir): Promise<{ readonly setup: string } & AsyncDisposable> {
  const namespaces = ['--mount', ...(process.getuid?.() === 0 ? [] : ['--map-root-user'])]
  const cover = existsSync('/nix') ? 'mount -t tmpfs none /nix && ' : ''
  const command = `${cover}exec "$0" --disable-warning=ExperimentalWarning "$1" serve --no-tunnel --listen 127.0.0.1:0`
  const child = spawn('unshare', [...namespaces, 'sh', '-c', command, process.execPath, main], {
    cwd: dir.path,
    env: { PATH: process.env.PATH, HOME: dir.path },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const exited = once(child, 'close')
  let log = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    log += text
  })
  let setup = ''
  for await (const text of child.stdout.setEncoding('utf8')) {
    setup += text
    if (/^nix .* copy .*\n/m.test(setup)) break
  }
  if (!setup.includes('machine ')) throw new Error(`It ended without a set-up:\n${log}`)
  return {
    setup,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await exited
    },
  }
}

test('a first start without a Nix store and without a config prints what it takes to push and to pull, and both work', async () => {
  await using dir = await createScratchDir()
  const store = await nix.openStore()
  const [big, small] = [await store.addFile('big', randomBytes(300_000)), await store.addFile('small', 'x')]
  await using served = await serveWithoutStore(dir)
  const { setup } = served
  const [netrc] = /^machine .*$/m.exec(setup)!
  await writeFile(dir.file('netrc'), `${netrc}\n`, { mode: 0o600 })

  const [, url] = /^.* push --to (\S+) \.\/result$/m.exec(setup)!
  const env = { NIX_STATE_DIR: store.stateDir, BURROW_REAL_STORE_DIR: store.realStoreDir }
  expect(
    await runBurrow(['push', '--to', url!, '--netrc-file', dir.file('netrc'), big], { cwd: dir.path, env }),
  ).toMatchObject({ code: 0 })

  const [, copyUrl] = /^nix .* copy .*--to '(\S+)' \.\/result$/m.exec(setup)!
  await nix.run('nix', ['copy', '--from', store.root, '--netrc-file', dir.file('netrc'), '--to', copyUrl!, small])

  const [, key] = /^extra-trusted-public-keys = (\S+)$/m.exec(setup)!
  const to = await nix.openStore()
  await nix.copy({ from: url!, to, paths: [big, small], netrc: dir.file('netrc'), trustedPublicKeys: [key!] })
  for (const path of [big, small]) expect((await to.dump(path)).equals(await store.dump(path))).toBe(true)
})
