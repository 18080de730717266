/**
 * What `npm install nix-burrow` brings: the packed tarball, installed for production into an empty folder by the real
 * npm.
 */
import { execFile } from 'node:child_process'
import { cp, lstat, mkdir, readdir, readFile, symlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from '@jest/globals'

import { createScratchDir, type ScratchDir } from '../appliance/scratch-dir.ts'
import { findNode } from '../fixtures/other-nodes.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const run = promisify(execFile)
const maxMegabytes = 60

async function canReachRegistry(): Promise<boolean> {
  return await run('npm', ['view', 'commander', 'version', '--fetch-timeout=30000', '--fetch-retries=0']).then(
    () => true,
    () => false,
  )
}

/** Built from a copy, so that nothing in the checkout changes under other tests. */
async function pack(dir: ScratchDir): Promise<string> {
  const copy = dir.file('copy')
  const { stdout: listed } = await run('git', ['ls-files', '-co', '--exclude-standard'], { cwd: root, maxBuffer: 1e7 })
  for (const name of listed
    .trim()
    .split('\n')
    .filter((path) => !path.startsWith('test/'))) {
    await mkdir(dirname(join(copy, name)), { recursive: true })
    await cp(join(root, name), join(copy, name)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error
    })
  }
  await symlink(join(root, 'node_modules'), join(copy, 'node_modules'))
  const env = { ...process.env, PATH: `${join(root, 'node_modules/.bin')}:${process.env.PATH}` }
  await run('npm', ['run', 'build'], { cwd: copy, env })
  const { stdout } = await run('npm', ['pack', '--silent'], { cwd: copy, env })
  return join(copy, stdout.trim().split('\n').at(-1)!)
}

/** As a disk counts it; `skipped` are folders of node_modules. */
async function diskBytes(dir: string, skipped: RegExp): Promise<number> {
  const entries = await readdir(dir, { withFileTypes: true })
  const sizes = entries.map(async (entry) => {
    const path = join(dir, entry.name)
    if (skipped.test(entry.name)) return 0
    return entry.isDirectory() ? diskBytes(path, skipped) : (await lstat(path)).blocks * 512
  })
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0)
}

test('a production install takes less than 60 MB beside Node itself, and starts by Node 20', async () => {
  if (!(await canReachRegistry())) return void process.stderr.write('Skipped: the npm registry cannot be reached\n')
  await using dir = await createScratchDir()
  const tarball = await pack(dir)
  const to = dir.file('installed')
  await mkdir(to)
  await run(
    'npm',
    [
      'install',
      '--prefix',
      to,
      '--omit=dev',
      '--ignore-scripts',
      '--no-audit',
      '--no-fund',
      '--loglevel=error',
      tarball,
    ],
    { cwd: to },
  )

  const megabytes = (await diskBytes(join(to, 'node_modules'), /^node-(?:linux|darwin)-/)) / 1e6
  process.stderr.write(`A production install takes ${megabytes.toFixed(1)} MB beside Node\n`)
  expect(megabytes).toBeGreaterThan(5)
  expect(megabytes).toBeLessThan(maxMegabytes)
  expect(await readdir(join(to, 'node_modules'))).not.toContain('cloudflare')

  const node = (await findNode(20, dir.file('node-20'))) ?? process.execPath
  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string }
  const options = { cwd: dir.path, env: { PATH: `${dirname(node)}:/usr/bin:/bin`, HOME: dir.path } }
  expect((await run(node, [join(to, 'node_modules/nix-burrow/bin/burrow.mjs'), 'version'], options)).stdout).toBe(
    `burrow ${version}\n`,
  )
  expect((await run(join(to, 'node_modules/.bin/burrow'), ['version'], options)).stdout).toBe(`burrow ${version}\n`)
}, 900_000)
