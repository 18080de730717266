/**
 * Burrow as a user starts it: one process, `burrow serve` with a config file, one user, a signing key, a larder,
 * everything else by default.
 */
import { existsSync, mkdirSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { formatBasicAuthorization } from '../src/index.ts'
import { type Endpoint, request } from './cache.ts'
import { startChild, stopChild } from './children.ts'
import type { SigningKey } from './nix.ts'
import { findFreePort, waitUntil } from './ports.ts'
import { projectDir, workDir } from './work-dir.ts'

export const user = { name: 'ben', password: 'a long and random bench password' } as const

export interface BurrowSettings {
  /** Names the config file, the log and the state. */
  readonly label: string
  readonly store: { readonly realStoreDir: string; readonly database: string }
  readonly key: SigningKey
  readonly compression: 'zstd' | 'none'
  readonly larderDir: string
  /** Hash part of the path that is asked for until there is an answer. */
  readonly firstHashPart: string
  /** The user may push, into an empty depot. */
  readonly mayPush?: boolean
  /** Another checkout of Burrow, with its dependencies installed; this one by default. */
  readonly checkout?: string | undefined
  /** Writes a processor profile into `bench/.work/profiles` when the process ends. */
  readonly profile: boolean
}

export interface Burrow extends AsyncDisposable {
  readonly endpoint: Endpoint
  /** From the start of the process to the whole of its first answer. */
  readonly secondsToFirstAnswer: number
}

export async function openBurrow(settings: BurrowSettings): Promise<Burrow> {
  const port = await findFreePort()
  const configFile = writeConfig(settings, port)
  const log = openSync(join(workDir, `${settings.label}.log`), 'w')
  const profiling = settings.profile
    ? ['--cpu-prof', `--cpu-prof-dir=${join(workDir, 'profiles', settings.label)}`]
    : []
  const started = performance.now()
  const checkout = settings.checkout ?? projectDir
  const child = startChild(
    process.execPath,
    [...profiling, '--disable-warning=ExperimentalWarning', findProgram(checkout), 'serve', '--config', configFile],
    {
      cwd: checkout,
      stdio: ['ignore', log, log],
    },
  )
  const authorization = formatBasicAuthorization(user)
  const endpoint: Endpoint = {
    label: settings.label,
    host: '127.0.0.1',
    port,
    prefix: '',
    authorization,
    pid: child.pid ?? 0,
  }
  await waitUntil(
    `burrow (see bench/.work/${settings.label}.log)`,
    child,
    () => askFor(endpoint, settings.mayPush ? '/nix-cache-info' : `/${settings.firstHashPart}.narinfo`),
    4,
  )
  return {
    endpoint,
    secondsToFirstAnswer: (performance.now() - started) / 1_000,
    [Symbol.asyncDispose]: () => stopChild(child),
  }
}

/** Where it was before it had this name. */
function findProgram(checkout: string): string {
  return ['appliance/program.ts', 'appliance/main.ts'].find((file) => existsSync(join(checkout, file)))!
}

/** A netrc file with the user's credentials, for a real Nix client. */
export function writeNetrc(): string {
  const file = join(workDir, 'netrc')
  writeFileSync(file, `machine 127.0.0.1 login ${user.name} password "${user.password}"\n`, { mode: 0o600 })
  return file
}

function writeConfig(settings: BurrowSettings, port: number): string {
  const stateDir = join(workDir, 'state', settings.label)
  rmSync(stateDir, { recursive: true, force: true })
  mkdirSync(stateDir, { recursive: true, mode: 0o700 })
  mkdirSync(settings.larderDir, { recursive: true, mode: 0o700 })
  const config = {
    listen: `127.0.0.1:${port}`,
    users: [{ ...user, access: settings.mayPush ? ['pull', 'push'] : ['pull'] }],
    signing: { keyFiles: [settings.key.secretKeyFile] },
    store: { dir: '/nix/store', realDir: settings.store.realStoreDir, database: settings.store.database },
    compression: settings.compression,
    larder: { dir: settings.larderDir },
    state: { dir: stateDir },
    // A cache without the objects of the bench: what is pushed to it is new.
    ...(settings.mayPush && {
      store: { realDir: join(stateDir, 'no-store') },
      push: { references: 'any', upstreamKeys: [] },
    }),
  }
  const file = join(workDir, `${settings.label}.json`)
  writeFileSync(file, JSON.stringify(config, undefined, 2), { mode: 0o600 })
  return file
}

async function askFor(endpoint: Endpoint, path: string): Promise<void> {
  const response = await request(endpoint, path)
  for await (const _ of response);
  if (response.statusCode !== 200) throw new Error(`status ${response.statusCode}`)
}
