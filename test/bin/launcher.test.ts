/** bin/burrow.mjs, started as users start it: by the Node of a distribution, in trees as npm lays them out. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, readFile, realpath, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, test } from '@jest/globals'

import { createScratchDir, type ScratchDir } from '../appliance/scratch-dir.ts'
import { findNode } from '../fixtures/other-nodes.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const run = promisify(execFile)
const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string }

/** `main` stands in for the program: it prints what it is run with. */
async function layOut(dir: ScratchDir, { main, at = 'package' }: { main: string; at?: string }): Promise<string> {
  const launcher = dir.file(`${at}/bin/burrow.mjs`)
  await mkdir(dirname(dir.file(`${at}/${main}`)), { recursive: true })
  await cp(join(root, 'bin/burrow.mjs'), launcher)
  await writeFile(dir.file(`${at}/package.json`), '{"type": "module"}')
  await writeFile(
    dir.file(`${at}/${main}`),
    'console.log(JSON.stringify({ main: process.argv[1], args: process.argv.slice(2), node: process.versions.node }))',
  )
  return launcher
}

async function placeNode(dir: ScratchDir, path: string): Promise<void> {
  await mkdir(dirname(dir.file(path)), { recursive: true })
  await symlink(await realpath(process.execPath), dir.file(path))
}

test.each([
  ['a checkout', 'appliance/program.ts'],
  ['an installed package', 'dist/appliance/program.js'],
])('in %s it runs %s', async (_place, main) => {
  await using dir = await createScratchDir()
  const launcher = await layOut(dir, { main })
  const { stdout, stderr } = await run(process.execPath, [launcher, 'status', '--json'])
  expect(JSON.parse(stdout)).toEqual({
    main: await realpath(dir.file(`package/${main}`)),
    args: ['status', '--json'],
    node: process.versions.node,
  })
  expect(stderr).toBe('')
})

test('in this checkout it is Burrow, by a link on PATH too, with its exit code', async () => {
  await using dir = await createScratchDir()
  await symlink(join(root, 'bin/burrow.mjs'), dir.file('burrow'))
  expect((await run(dir.file('burrow'), ['version'], { env: process.env })).stdout).toBe(`burrow ${version}\n`)
  await expect(run(dir.file('burrow'), ['no-such-command'], { env: process.env })).rejects.toMatchObject({ code: 2 })
})

const platformNode = `node-${process.platform}-${process.arch}/bin/node`
test.each([
  ['inside the package', 'package', `package/node_modules/${platformNode}`],
  ['hoisted beside it', 'node_modules/nix-burrow', `node_modules/${platformNode}`],
  ['as a command of npm', 'package', 'package/node_modules/.bin/node'],
])(
  'started by Node 20 it finds the Node that npm has put %s',
  async (_place, at, node) => {
    await using dir = await createScratchDir()
    const old = await findNode(20, dir.file('node-20'))
    if (old === undefined) return
    const launcher = await layOut(dir, { main: 'dist/appliance/program.js', at })
    await placeNode(dir, node)
    expect(JSON.parse((await run(old, [launcher])).stdout)).toMatchObject({ node: process.versions.node })
  },
  300_000,
)

test('started by Node 20 without a newer one it says what is needed and where to run npm', async () => {
  await using dir = await createScratchDir()
  const old = await findNode(20, dir.file('node-20'))
  if (old === undefined) return
  const launcher = await layOut(dir, { main: 'dist/appliance/program.js' })
  const refusal = run(old, [launcher, 'version'])
  await expect(refusal).rejects.toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^Cannot run on Node 20\.[\d.]+: Burrow needs Node 24 or newer/),
  })
  await expect(refusal).rejects.toMatchObject({
    stderr: expect.stringContaining(`run "npm install" in "${await realpath(dir.file('package'))}"`),
  })
}, 300_000)

test.each([
  ['the Node of the tests', undefined],
  ['Node 20', 20],
])(
  'SIGTERM to what was started by %s stops the program, with its exit code',
  async (_name, major) => {
    await using dir = await createScratchDir()
    const node = major === undefined ? process.execPath : await findNode(major, dir.file('node'))
    if (node === undefined) return
    const launcher = await layOut(dir, { main: 'appliance/program.ts' })
    await placeNode(dir, 'package/node_modules/.bin/node')
    await writeFile(
      dir.file('package/appliance/program.ts'),
      'process.on("SIGTERM", () => process.exit(7)); setInterval(() => {}, 1000); console.log("ready")',
    )
    const child = spawn(node, [launcher], { stdio: ['ignore', 'pipe', 'inherit'] })
    const exit = once(child, 'exit')
    await once(createInterface(child.stdout), 'line')
    child.kill('SIGTERM')
    expect(await exit).toEqual([7, null])
  },
  300_000,
)

describe('appliance/main.ts of a checkout', () => {
  /** Its link and its launcher, with a stand-in for the program. */
  async function layOutCheckout(dir: ScratchDir): Promise<string> {
    await layOut(dir, { main: 'appliance/program.ts' })
    await cp(join(root, 'appliance/main.ts'), dir.file('package/appliance/main.ts'), { verbatimSymlinks: true })
    return dir.file('package/appliance/main.ts')
  }

  test('under Node 20 it says what to do, instead of refusing TypeScript', async () => {
    await using dir = await createScratchDir()
    const old = await findNode(20, dir.file('node-20'))
    if (old === undefined) return
    const refusal = run(old, [await layOutCheckout(dir), 'version'])
    await expect(refusal).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^Cannot run on Node 20\.[\d.]+: Burrow needs Node 24 .*\n$/),
    })
  }, 300_000)

  test('under Node 20 it starts by the Node that npm has put beside it', async () => {
    await using dir = await createScratchDir()
    const old = await findNode(20, dir.file('node-20'))
    if (old === undefined) return
    const main = await layOutCheckout(dir)
    await placeNode(dir, `package/node_modules/${platformNode}`)
    expect(JSON.parse((await run(old, [main])).stdout)).toMatchObject({ node: process.versions.node })
  }, 300_000)

  test('what the Node of the program itself was told still holds', async () => {
    await using dir = await createScratchDir()
    const main = await layOutCheckout(dir)
    await writeFile(dir.file('package/appliance/program.ts'), 'console.log(JSON.stringify(process.execArgv))')
    expect(JSON.parse((await run(process.execPath, ['--stack-size=900', main])).stdout)).toContain('--stack-size=900')
  })

  test('before npm has installed anything it names the command that does', async () => {
    await using dir = await createScratchDir()
    for (const part of ['appliance', 'bin', 'src', 'package.json'])
      await cp(join(root, part), dir.file(part), { recursive: true, verbatimSymlinks: true })
    const refusal = run(process.execPath, [dir.file('appliance/main.ts'), 'version'])
    await expect(refusal).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringMatching(
        /^Cannot start: the npm package "[\w-]+" is not installed. Run "npm ci --omit=dev" in .*\n$/,
      ),
    })
  })
})
