/** Runs of `burrow push` and, for comparison, of `nix copy`. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { type Burrow, user } from '../burrow.ts'
import { runCommand } from '../children.ts'
import type { Bench } from '../measure.ts'
import { nixEnvironment } from '../nix.ts'
import { openShapingProxy, type Shape, type ShapingProxy } from '../shaping-proxy.ts'
import { projectDir, workDir } from '../work-dir.ts'

export async function withEmptyDepot<T>(bench: Bench, use: (burrow: Burrow) => Promise<T>): Promise<T> {
  await using burrow = await bench.depot()
  return await use(burrow)
}

export async function overLine<T>(burrow: Burrow, shape: Shape, use: (proxy: ShapingProxy) => Promise<T>): Promise<T> {
  await using proxy = await openShapingProxy(burrow.endpoint.port, shape)
  return await use(proxy)
}

/**
 * Seconds as reported by the client, from its first request to its last answer: without the time for starting Node.
 */
export async function push(
  bench: Bench,
  port: number,
  paths: readonly string[],
  flags: readonly string[] = [],
): Promise<number> {
  return (await pushMeasured(bench, port, paths, flags)).seconds
}

interface Pushed {
  readonly seconds: number
  readonly wireBytes: number
}

export async function pushMeasured(
  { store }: Bench,
  port: number,
  paths: readonly string[],
  flags: readonly string[],
): Promise<Pushed> {
  const home = mkdtempSync(join(workDir, 'push-home-'))
  try {
    const password = join(home, 'password')
    writeFileSync(password, user.password, { mode: 0o600 })
    const env = {
      PATH: process.env.PATH,
      HOME: home,
      NIX_STATE_DIR: join(store.database, '..', '..'),
      BURROW_REAL_STORE_DIR: store.realStoreDir,
      BURROW_USER: user.name,
      BURROW_PASSWORD_FILE: password,
    }
    const args = [
      '--disable-warning=ExperimentalWarning',
      'appliance/program.ts',
      'push',
      '--to',
      `http://127.0.0.1:${port}`,
      '--json',
      ...flags,
      ...paths,
    ]
    const { stdout } = await runCommand(process.execPath, args, { cwd: projectDir, env, timeoutSeconds: 300 })
    const summary = JSON.parse(stdout.trim().split('\n').at(-1)!) as Pushed & { readonly event: string }
    if (summary.event !== 'summary') throw new Error('burrow push did not print a summary')
    return summary
  } finally {
    rmSync(home, { recursive: true, force: true })
  }
}

export async function copyToFolder(bench: Bench): Promise<number> {
  const dir = mkdtempSync(join(workDir, 'push-folder-'))
  try {
    return await nixCopy(bench, `file://${join(dir, 'cache')}?compression=zstd`, dir)
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

export async function copyToCache(bench: Bench, burrow: Burrow): Promise<number> {
  const dir = mkdtempSync(join(workDir, 'push-nix-'))
  try {
    const netrc = join(dir, 'netrc')
    writeFileSync(netrc, `machine 127.0.0.1 login ${user.name} password "${user.password}"\n`, { mode: 0o600 })
    return await nixCopy(bench, `http://127.0.0.1:${burrow.endpoint.port}?compression=zstd`, dir, [
      '--option',
      'netrc-file',
      netrc,
    ])
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

async function nixCopy({ store }: Bench, to: string, home: string, options: readonly string[] = []): Promise<number> {
  const from = `local?root=${join(store.realStoreDir, '..', '..')}`
  const args = ['copy', '--no-check-sigs', '--from', from, '--to', to, ...options, store.root.storePath]
  return (await runCommand('nix', args, { env: nixEnvironment(home), timeoutSeconds: 300 })).seconds
}
