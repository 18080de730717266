/**
 * The package's tree, laid out by its own install phases from real files: what npm installs for production, and a Node
 * that resolves links to real paths.
 */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, readdir, readFile, realpath, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from '@jest/globals'

import { createScratchDir, type ScratchDir } from '../appliance/scratch-dir.ts'
import { copyProductionModules } from '../fixtures/production-modules.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const run = promisify(execFile)

// What nixpkgs' setup hooks do, as far as these phases ask for it.
const hooks = `set -eu
makeWrapper() { mkdir -p "$(dirname "$2")"; printf '#!/bin/sh\\nexec %s %s "$@"\\n' "$1" "$4" > "$2"; chmod +x "$2"; }
installManPage() { for page; do install -Dm0644 "$page" "$out/share/man/$(basename "$page")"; done; }
installShellCompletion() { for script; do install -Dm0644 "$script" "$out/share/completions/$script"; done; }
substituteInPlace() { file=$1; shift; while [ $# -gt 0 ]; do grep -qF "$2" "$file"; sed -i "s|$2|$3|" "$file"; shift 3; done; }
`

async function phases(dir: ScratchDir) {
  const expression = `let p = import ./default.nix { pkgs = import ./test/nixos/stub-pkgs.nix; };
    in { inherit (p) buildPhase installPhase installCheckPhase; developmentOut = p.development.outPath; modules = p.node_modules.installPhase; modulesOut = p.node_modules.outPath; }`
  const env = { PATH: process.env.PATH, HOME: dir.path, NIX_CONF_DIR: dir.path }
  const { stdout } = await run(
    'nix-instantiate',
    ['--store', 'dummy://', '--eval', '--strict', '--json', '-E', expression],
    { cwd: root, env },
  )
  return JSON.parse(stdout) as {
    buildPhase: string
    developmentOut: string
    installPhase: string
    installCheckPhase: string
    modules: string
    modulesOut: string
  }
}

async function layOut(dir: ScratchDir): Promise<{ burrow: string; check: () => Promise<unknown> }> {
  const { buildPhase, developmentOut, installPhase, installCheckPhase, modules, modulesOut } = await phases(dir)
  const [out, modulesAt, work] = [dir.file('burrow-out'), dir.file('node-modules-out'), dir.file('work')]
  await copyProductionModules(work)
  await run('bash', ['-c', hooks + modules], { cwd: work, env: { PATH: process.env.PATH, out: modulesAt } })
  for (const part of [
    'appliance',
    'src',
    'docs',
    'man',
    'monitoring',
    'scripts',
    'package.json',
    'config.schema.json',
    'config.example.json',
  ])
    await cp(join(root, part), join(work, part), { recursive: true })
  // What nixpkgs' esbuild makes there, the same program makes here.
  const buildEnv = { PATH: `${join(root, 'node_modules/.bin')}:${process.env.PATH}` }
  await run('bash', ['-c', `set -eu\n${buildPhase.replaceAll(developmentOut, root)}`], { cwd: work, env: buildEnv })
  const node = await realpath(process.execPath)
  const script = installPhase
    .replaceAll(modulesOut, modulesAt)
    .replaceAll(/\/nix\/store\/[^/\s]*-nodejs[^/\s]*\/bin\/node/g, node)
  await run('bash', ['-c', hooks + script], { cwd: work, env: { PATH: process.env.PATH, out } })
  const check = () =>
    run('bash', ['-c', `set -eu\n${installCheckPhase}`], { cwd: dir.path, env: { PATH: process.env.PATH, out } })
  return { burrow: join(out, 'bin', 'burrow'), check }
}

test('the package starts from its own tree: version, check-config and serve', async () => {
  await using dir = await createScratchDir()
  const { burrow, check } = await layOut(dir)
  const options = { cwd: dir.path, env: { PATH: process.env.PATH, HOME: dir.path } }
  await check()
  for (const shell of ['bash', 'zsh', 'fish'])
    expect(await readFile(join(dirname(burrow), '../share/completions', `burrow.${shell}`), 'utf8')).toContain('push')

  const config = dir.file('burrow.json')
  await writeFile(
    config,
    JSON.stringify({
      public: true,
      listen: '127.0.0.1:0',
      operator: null,
      larder: false,
      state: { dir: dir.file('state') },
    }),
    {
      mode: 0o600,
    },
  )
  await run(burrow, ['--config', config, 'check-config'], options)
  // The SDK is there, though its package is not: what fails is the way to a server that does not run.
  const [account, token] = [dir.file('account.json'), dir.file('token')]
  await writeFile(
    account,
    JSON.stringify({ public: true, listen: '127.0.0.1:8080', state: { dir: dir.file('state') } }),
    { mode: 0o600 },
  )
  await writeFile(token, 'a'.repeat(40), { mode: 0o600 })
  const api = ['--api-url', 'http://127.0.0.1:1', '--api-token-file', token]
  const asking = run(
    burrow,
    ['--config', account, 'tunnel', 'setup', '--hostname', 'cache.example.org', ...api],
    options,
  )
  await expect(asking).rejects.toMatchObject({ stderr: expect.stringMatching(/127\.0\.0\.1:1\b/) })

  const child = spawn(burrow, ['--config', config, 'serve'], { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
  const closed = once(child, 'close')
  const lines: string[] = []
  const ready = Promise.race([
    closed.then(() => Promise.reject(new Error(`burrow serve ended:\n${lines.join('\n')}`))),
    new Promise<string>((resolve) => {
      for (const stream of [child.stdout, child.stderr])
        createInterface(stream).on('line', (line) => {
          lines.push(line)
          const url = /http:\/\/127\.0\.0\.1:[1-9]\d*/.exec(line)?.[0]
          if (url !== undefined) resolve(url)
        })
    }),
  ])
  try {
    const response = await fetch(`${await ready}/v1/version`)
    expect(response.status).toBe(200)
  } finally {
    child.kill('SIGTERM')
    await closed
  }
}, 300_000)

/** The client package, built by its own phases. */
async function buildClient(dir: ScratchDir, overrides: string): Promise<{ out: string; env: NodeJS.ProcessEnv }> {
  const expression = `let p = (import ./test/nixos/stub-pkgs.nix).callPackage ./nixos/client-package.nix ${overrides};
    in { inherit (p) buildPhase installPhase installCheckPhase; developmentOut = p.development.outPath; }`
  const env = { PATH: `${join(root, 'node_modules/.bin')}:${process.env.PATH}`, HOME: dir.path, NIX_CONF_DIR: dir.path }
  const { stdout } = await run(
    'nix-instantiate',
    ['--store', 'dummy://', '--eval', '--strict', '--json', '-E', expression],
    { cwd: root, env },
  )
  const made = JSON.parse(stdout) as {
    buildPhase: string
    installPhase: string
    installCheckPhase: string
    developmentOut: string
  }
  const [out, work] = [dir.file('client-out'), dir.file('work')]
  for (const part of ['appliance', 'src', 'scripts', 'package.json', 'tsconfig.json'])
    await cp(join(root, part), join(work, part), { recursive: true })
  const script = (made.buildPhase + made.installPhase)
    .replaceAll(made.developmentOut, root)
    .replaceAll(/\/nix\/store\/[^/\s]*-nodejs[^/\s]*\/bin\/node/g, await realpath(process.execPath))
  await run('bash', ['-c', hooks + script], { cwd: work, env: { ...env, out } })
  await run('bash', ['-c', `set -eu\n${made.installCheckPhase}`], { cwd: dir.path, env: { ...env, out } })
  return { out, env }
}

test('burrow-push is the client alone: it runs without any package', async () => {
  await using dir = await createScratchDir()
  const { out, env } = await buildClient(dir, '{ isPushOnly = true; }')
  expect(await readdir(join(out, 'bin'))).toEqual(['burrow-push'])
  const refusal = run(join(out, 'bin/burrow-push'), ['--to', 'http://127.0.0.1:1'], { cwd: dir.path, env })
  await expect(refusal).rejects.toMatchObject({ code: 2, stderr: expect.stringContaining('Nothing to push was given') })
}, 300_000)

test('burrow-client has every command of the near end, for people and for daemons', async () => {
  await using dir = await createScratchDir()
  const { out, env } = await buildClient(dir, '{ }')
  for (const program of ['bin/burrow', 'libexec/burrow-client']) {
    const refusal = run(join(out, program), ['relay', '--to', 'ftp://a.b'], { cwd: dir.path, env })
    await expect(refusal).rejects.toMatchObject({ code: 2, stderr: expect.stringContaining('must begin with http') })
  }
}, 300_000)

test('a lock file that is newer than the hashes fails the evaluation and says what to run', async () => {
  await using dir = await createScratchDir()
  for (const name of ['package.json', 'package-lock.json', 'nixos', 'test/nixos'])
    await cp(join(root, name), dir.file(name), { recursive: true })
  const evaluate = () =>
    run(
      'nix-instantiate',
      [
        '--store',
        'dummy://',
        '--eval',
        '-E',
        '((import ./test/nixos/stub-pkgs.nix).callPackage ./nixos/node-modules.nix { }).name',
      ],
      {
        cwd: dir.path,
        env: { PATH: process.env.PATH, HOME: dir.path, NIX_CONF_DIR: dir.path },
      },
    )
  await expect(evaluate()).resolves.toMatchObject({ stdout: '"burrow-node-modules-production"\n' })
  await writeFile(dir.file('package-lock.json'), `${await readFile(dir.file('package-lock.json'), 'utf8')}\n`)
  await expect(evaluate()).rejects.toMatchObject({ stderr: expect.stringContaining('run `npm run nix-hashes`') })
}, 120_000)
