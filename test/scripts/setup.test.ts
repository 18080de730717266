/**
 * What a fresh machine runs first: the real npm with the real lock file, and with a registry that takes connections and
 * never answers.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, readFile } from 'node:fs/promises'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { expect, test } from '@jest/globals'

import { createScratchDir } from '../appliance/scratch-dir.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

async function copyManifests(dir: string) {
  for (const name of ['package.json', 'package-lock.json', '.npmrc']) await cp(join(root, name), join(dir, name))
}

async function openSilentRegistry() {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => void sockets.add(socket.on('error', () => {}).resume())).listen(
    0,
    '127.0.0.1',
  )
  await once(server, 'listening')
  const close = () => {
    server.close()
    for (const socket of sockets) socket.destroy()
  }
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    connections: () => sockets.size,
    [Symbol.dispose]: close,
  }
}

async function run(command: string, args: readonly string[], cwd: string, registry: string) {
  const env = { ...process.env, HOME: cwd, npm_config_registry: registry, npm_config_cache: join(cwd, 'npm-cache') }
  const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')])
  return { code, output: stdout + stderr }
}

test('the lock file is complete: npm ci takes it, whatever the platform', async () => {
  await using dir = await createScratchDir()
  await copyManifests(dir.path)
  using registry = await openSilentRegistry()
  // It compares package.json with the lock file before it asks a registry for anything.
  const { code, output } = await run('npm', ['ci', '--dry-run'], dir.path, registry.url)
  expect(output).not.toMatch(/Missing|in sync/)
  expect(code).toBe(0)
})

test('the lock file names every optional package of other platforms, and no registry', async () => {
  const content = await readFile(join(root, 'package-lock.json'), 'utf8')
  const { packages } = JSON.parse(content) as {
    packages: Record<string, { optionalDependencies?: Record<string, string> }>
  }
  const wanted = Object.values(packages).flatMap(({ optionalDependencies = {} }) => Object.keys(optionalDependencies))
  expect(wanted.length).toBeGreaterThan(0)
  expect(wanted.filter((name) => !Object.keys(packages).some((path) => path.endsWith(`node_modules/${name}`)))).toEqual(
    [],
  )
  expect(content).not.toContain('"resolved"')
})

test('a registry that does not answer ends the first start with a message that says so', async () => {
  await using dir = await createScratchDir()
  await copyManifests(dir.path)
  await mkdir(dir.file('scripts'))
  await cp(join(root, 'scripts/setup.mjs'), dir.file('scripts/setup.mjs'))
  using registry = await openSilentRegistry()
  const { code, output } = await run(process.execPath, ['scripts/setup.mjs'], dir.path, registry.url)
  expect(code).toBe(1)
  expect(output).toContain('the npm registry did not answer within 30 s')
  expect(registry.connections()).toBeGreaterThan(0)
})
