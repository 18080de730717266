/**
 * The container image without a container engine: the Dockerfile is read, and what it copies and starts is laid out in
 * a directory and started by its user, with a read-only file system, no capabilities, and the writable places that
 * docs/container.md gives it.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { chmod, chown, cp, mkdir, realpath, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from '@jest/globals'

import { stopMs } from '../../appliance/server/stop-budgets.ts'
import { createScratchDir, type ScratchDir } from '../appliance/scratch-dir.ts'
import { copyProductionModules } from '../fixtures/production-modules.ts'
import { isOnPath } from '../fixtures/programs.ts'
import { run } from '../fixtures/run.ts'
import { parseCopy, parseDockerfile, parseEnvironment } from './dockerfile.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const instructions = parseDockerfile(readFileSync(join(root, 'Dockerfile'), 'utf8'))
const last = Math.max(...instructions.map(({ stage }) => stage))
const find = (name: string) => instructions.filter((one) => one.name === name && one.stage === last).at(-1)?.text
const copied = instructions
  .filter(({ name }) => name === 'COPY')
  .map(parseCopy)
  .filter(({ from }) => from === undefined)
  .flatMap(({ sources }) => sources)

describe('Dockerfile', () => {
  test('knows its instructions, begins with Node 24, and copies only what there is', () => {
    const known = 'FROM WORKDIR COPY RUN ENV USER VOLUME STOPSIGNAL HEALTHCHECK ENTRYPOINT CMD'.split(' ')
    for (const { name } of instructions) expect(known).toContain(name)
    const bases = instructions.filter(({ name }) => name === 'FROM').map(({ text: base }) => base.split(' ')[0])
    expect(new Set(bases)).toEqual(new Set(['node:24-bookworm-slim']))
    expect(copied.filter((source) => !existsSync(join(root, source)))).toEqual([])
  })

  test('.dockerignore sends what is copied, and nothing else', () => {
    const lines = readFileSync(join(root, '.dockerignore'), 'utf8')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
    expect(lines[0]).toBe('*')
    expect(lines.slice(1).sort()).toEqual(copied.map((source) => `!${source}`).sort())
  })

  test('runs as a user without rights, with volumes, a stop signal and a health check, and has no secrets', () => {
    expect(find('USER')).toBe('10001:10001')
    expect(JSON.parse(find('VOLUME')!)).toEqual(['/var/lib/burrow', '/var/cache/burrow'])
    expect(find('STOPSIGNAL')).toBe('SIGTERM')
    expect(find('HEALTHCHECK')).toMatch(/CMD \["burrow", "status", "--json"\]$/)
    expect([JSON.parse(find('ENTRYPOINT')!), JSON.parse(find('CMD')!)]).toEqual([['burrow'], ['serve']])
    expect(Object.keys(parseEnvironment(instructions)).filter((name) => /pass|token|secret|key/i.test(name))).toEqual(
      [],
    )
  })

  test('the page gives the container as long to stop as a stop may take', () => {
    const page = readFileSync(join(root, 'docs/container.md'), 'utf8')
    const seconds = [...page.matchAll(/(?:--stop-timeout |stop_grace_period: )(\d+)/g)].map(([, value]) =>
      Number(value),
    )
    expect(seconds).toHaveLength(2)
    for (const value of seconds) expect(value * 1000).toBeGreaterThan(stopMs)
  })
})

const user = 10001
const canIsolate = process.getuid?.() === 0 && isOnPath('unshare') && isOnPath('setpriv')
if (!canIsolate) process.stderr.write('Skipping tests: a read-only file system needs root, unshare and setpriv\n')
const testIsolated = canIsolate ? test : test.skip

/** What the last stage has at /opt/burrow; npm's steps are copied by the lock file. */
async function layOut(dir: ScratchDir): Promise<string> {
  const image = dir.file('opt/burrow')
  await mkdir(image, { recursive: true })
  for (const source of copied)
    await cp(join(root, source), join(image, source), { recursive: true, verbatimSymlinks: true })
  await symlink(join(root, 'node_modules'), join(image, 'node_modules'))
  const env = { PATH: `${join(root, 'node_modules/.bin')}:${process.env.PATH}` }
  await run(process.execPath, ['scripts/bundle.mjs'], { cwd: image, env })
  await run('rm', [join(image, 'node_modules')])
  await copyProductionModules(image)
  return image
}

/** The command line that runs a command as the container does, in a mount namespace of its own. */
function isolated(dir: ScratchDir, command: readonly string[]): readonly string[] {
  const script = [
    'set -e',
    // Writable are the places of Burrow alone, each a mount as a volume is.
    'for place in state cache run; do mount --bind "$1/$place" "$1/$place"; done',
    'mount -o remount,bind,ro /',
    'if mountpoint -q "$2"; then mount -o remount,bind,ro "$2"; fi',
    'cd "$1/etc"; shift 2',
    `exec setpriv --reuid ${user} --regid ${user} --clear-groups --no-new-privs --inh-caps=-all --bounding-set=-all "$@"`,
  ].join('\n')
  return ['--mount', '--propagation', 'private', 'bash', '-c', script, 'isolated', dir.path, '/tmp', ...command]
}

describe('the steps of the image', () => {
  testIsolated(
    'serve, become healthy, stop in order, and write nothing outside of state, cache and run',
    async () => {
      await using dir = await createScratchDir()
      await chmod(dir.path, 0o755)
      const image = await layOut(dir)
      for (const place of ['state', 'cache', 'run', 'etc']) await mkdir(dir.file(place))
      for (const place of ['state', 'cache', 'run']) {
        await chown(dir.file(place), user, user)
        await chmod(dir.file(place), 0o700)
      }
      await writeFile(dir.file('etc/burrow.json'), '{ "public": true, "listen": "127.0.0.1:0", "tunnel": "off" }')
      const node = await realpath(process.execPath)
      const env = {
        PATH: '/usr/bin:/bin',
        HOME: dir.file('state'),
        ...parseEnvironment(instructions),
        STATE_DIRECTORY: dir.file('state'),
        CACHE_DIRECTORY: dir.file('cache'),
        RUNTIME_DIRECTORY: dir.file('run'),
      }
      const burrow = [node, join(image, 'bin/burrow.mjs')]
      const options = { cwd: '/', env }

      const canWrite = await run('unshare', isolated(dir, ['touch', join(image, 'x')]), {
        ...options,
        allowFailure: true,
      })
      expect(canWrite.code).not.toBe(0)
      const early = await run('unshare', isolated(dir, [...burrow, 'status', '--json']), {
        ...options,
        allowFailure: true,
      })
      expect(early.code).toBe(1)

      const child = spawn('unshare', isolated(dir, [...burrow, 'serve']), {
        ...options,
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      const output = text(child.stdout)
      const exited = once(child, 'exit')
      try {
        const url = await readyUrl(child.stderr, exited)
        const { code, stdout } = await run('unshare', isolated(dir, [...burrow, 'status', '--json']), options)
        expect({ code, version: JSON.parse(stdout).version }).toEqual({ code: 0, version: expect.any(String) })
        expect((await fetch(`${url}/nix-cache-info`)).status).toBe(200)
        expect(readFileSync(`/proc/${child.pid}/status`, 'utf8')).toMatch(
          /^Uid:\t10001\t10001\t10001\t10001$[\s\S]*^CapEff:\t0+$[\s\S]*^NoNewPrivs:\t1$/m,
        )
      } finally {
        child.kill('SIGTERM')
      }
      expect(await exited).toEqual([0, null])
      expect(await output).toContain('extra-trusted-public-keys')
    },
    120_000,
  )
})

async function readyUrl(stderr: NodeJS.ReadableStream, exited: Promise<unknown>): Promise<string> {
  const lines: string[] = []
  const ended = exited.then(() => undefined)
  const reader = createInterface({ input: stderr })
  const found = new Promise<string>((resolve) => {
    reader.on('line', (line) => {
      lines.push(line)
      if (line.includes('Burrow is ready')) resolve(String(JSON.parse(line).listen))
    })
  })
  const url = await Promise.race([found, ended])
  if (url === undefined) throw new Error(`It ended before it was ready:\n${lines.join('\n')}`)
  return url
}
