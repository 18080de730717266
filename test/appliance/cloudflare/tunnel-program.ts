/**
 * The commands against an API on loopback, in a directory with a config: in this process, or as `program.ts` in one of
 * their own.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'

import { goodToken } from '../../fixtures/cloudflare-account.ts'
import type { CloudflareApiFake } from '../../fixtures/cloudflare-api.ts'
import { type CommandOutcome, runCommand } from '../run-command.ts'
import { createScratchDir, type ScratchDir } from '../scratch-dir.ts'
import { createTunnelCommand } from './tunnel-command.ts'

export const program = fileURLToPath(new URL('program.ts', import.meta.url))

export const hostname = 'cache.example.org'

/** `burrow.json` beside a state directory `state`. */
export async function createBurrowDir(config: object = {}): Promise<ScratchDir> {
  const dir = await createScratchDir()
  const whole = { listen: '127.0.0.1:8080', users: ['ana:secret'], state: { dir: 'state' }, ...config }
  await writeFile(dir.file('burrow.json'), `${JSON.stringify(whole, null, 2)}\n`, { mode: 0o600 })
  return dir
}

export interface RunOptions {
  readonly dir: ScratchDir
  readonly api: CloudflareApiFake
  readonly env?: Readonly<Record<string, string>>
}

const toEnv = ({ api, env }: RunOptions) => ({
  CLOUDFLARE_API_BASE_URL: api.url,
  CLOUDFLARE_API_TOKEN: goodToken,
  ...env,
})

/** `burrow tunnel …args` in this process, with the good token in the environment. */
export const runTunnel = (args: readonly string[], options: RunOptions): Promise<CommandOutcome> =>
  runCommand(createTunnelCommand, ['tunnel', ...args], { dir: options.dir, env: toEnv(options) })

/** The same as a process of its own. */
export async function spawnTunnel(args: readonly string[], options: RunOptions): Promise<CommandOutcome> {
  const { path } = options.dir
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', program, 'tunnel', ...args], {
    cwd: path,
    env: { PATH: process.env.PATH, HOME: path, ...toEnv(options) },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  return { code, stdout, stderr }
}

export const setUp = (options: RunOptions, ...args: string[]) =>
  runTunnel(['setup', '--hostname', hostname, '--yes', ...args], options)
