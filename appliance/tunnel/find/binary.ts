/**
 * Where cloudflared is: what the config names; else on PATH; else what `burrow tunnel install` put into the state
 * directory; else what the npm package `cloudflared` has (its install script, which downloads one, is off here, so that
 * is there only for those who ran it, or set $CLOUDFLARED_BIN).
 */
import { execFile } from 'node:child_process'
import { realpath, stat } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, dirname, isAbsolute, join, relative, sep } from 'node:path'

import type { Log } from '../../../src/index.ts'
import { listCandidates } from '../../search-path.ts'
import type { Environment } from '../launch/connector-env.ts'
import { type Binary, LaunchFault } from '../launch/launch.ts'
import type { TunnelSettings } from '../settings.ts'
import { findUnexecutable, type Unexecutable } from './executable.ts'
import { findVersionFault, leastVersion, parseVersion } from './version.ts'

export interface BinarySearch {
  readonly settings: Pick<TunnelSettings, 'binary'>
  readonly env: Environment
  readonly stateDir: string
  /**
   * Effective user. If root runs a binary from another user's state directory, it does so as that user, who may have
   * replaced it.
   */
  readonly userId?: number | undefined
  /** Milliseconds since 1970, to know what is too old. */
  readonly now?: (() => number) | undefined
}

/** Where `burrow tunnel install` puts it. */
export function installedBinaryPath(stateDir: string): string {
  return join(stateDir, 'bin', 'cloudflared')
}

/**
 * Undefined when there is none; one that is too old or was withdrawn only when there is no other. @throws {LaunchFault}
 * the one that the config names cannot be run
 */
export async function findBinary(search: BinarySearch): Promise<Binary | undefined> {
  const { settings, env, stateDir } = search
  if (settings.binary !== undefined) {
    const fault = await findUnexecutable(settings.binary)
    if (fault !== undefined)
      throw new LaunchFault(
        `the cloudflared that the config names, "${settings.binary}", ${unexecutable[fault]}`,
        'correct "tunnel": { "binary": … }',
      )
    return { path: settings.binary, version: await versionOf(settings.binary, search) }
  }
  let faulty: Binary | undefined
  const now = search.now?.() ?? Date.now()
  for (const path of await candidatesOf(env, stateDir)) {
    if (!(await isFile(path)) || (await findUnexecutable(path)) !== undefined) continue
    const binary = { path, version: await versionOf(path, search) }
    if (binary.version === undefined || findVersionFault(binary.version, now) === undefined) return binary
    faulty ??= binary
  }
  return faulty
}

/**
 * A warning if the version is too old, was withdrawn, or is unknown. A private build (`DEV`) is accepted without a
 * warning.
 */
export function warnOfVersion({ path, version }: Binary, now: number): string | undefined {
  if (version === undefined)
    return `"${path}" does not answer "version --short"; check that it is cloudflared ${leastVersion} or newer and runs on this machine`
  const fault = findVersionFault(version, now)
  return fault && `"${path}" is cloudflared ${version}, which ${fault}; update it, or run "burrow tunnel install"`
}

/** For repeated searches; logs each newly found binary once, with a warning about its version or age. */
export function createBinaryFinder(search: BinarySearch, log: Log): () => Promise<Binary | undefined> {
  let logged: string | undefined
  return async () => {
    const binary = await findBinary(search)
    const identity = binary && `${binary.path} ${binary.version}`
    if (binary !== undefined && identity !== logged) {
      const warning = warnOfVersion(binary, search.now?.() ?? Date.now())
      if (warning === undefined) log.info({ ...binary }, 'Found cloudflared')
      else log.warn({ ...binary }, warning)
    }
    logged = identity
    return binary
  }
}

const unexecutable: Readonly<Record<Unexecutable, string>> = {
  absent: 'does not exist',
  forbidden: 'cannot be executed by this user',
  foreign: 'is not an executable for this machine',
}

async function candidatesOf(env: Environment, stateDir: string): Promise<string[]> {
  const programs: string[] = []
  for (const path of listCandidates('cloudflared', env.PATH)) if (!(await isNpmForwarder(path))) programs.push(path)
  return [...programs, installedBinaryPath(stateDir), ...packaged(env)]
}

/**
 * npm puts a script of this name on the PATH (of its own scripts, or of everybody with --global), which downloads a
 * program when it is called.
 */
async function isNpmForwarder(path: string): Promise<boolean> {
  if (path.endsWith(join('node_modules', '.bin', 'cloudflared'))) return true
  const target = await realpath(path).catch(() => path)
  return target.endsWith(join('node_modules', 'cloudflared', 'lib', 'cloudflared.js'))
}

function packaged({ CLOUDFLARED_BIN: named }: Environment): string[] {
  if (named !== undefined && isAbsolute(named)) return [named]
  try {
    const { DEFAULT_CLOUDFLARED_BIN } = createRequire(import.meta.url)('cloudflared') as {
      DEFAULT_CLOUDFLARED_BIN: string
    }
    return [DEFAULT_CLOUDFLARED_BIN]
  } catch {
    return []
  }
}

async function isFile(path: string): Promise<boolean> {
  return await stat(path).then(
    (found) => found.isFile(),
    () => false,
  )
}

const versionMs = 5_000
/** Finding the version starts a process, so the result is cached per file and modification time. */
const known = new Map<string, Promise<string | undefined>>()

async function versionOf(path: string, search: BinarySearch): Promise<string | undefined> {
  const { mtimeMs, size, ino } = await stat(path)
  const owner = await findDistrusted(path, search)
  const key = `${path}\0${ino}\0${size}\0${mtimeMs}\0${owner?.uid}`
  const asked = known.get(key) ?? askVersion(path, search.env, owner)
  known.set(key, asked)
  return await asked
}

interface Owner {
  readonly uid: number
  readonly gid: number
}

async function findDistrusted(path: string, { stateDir, userId }: BinarySearch): Promise<Owner | undefined> {
  if (userId !== 0) return undefined
  const found = await stat(stateDir).catch(() => undefined)
  if (found === undefined || found.uid === 0) return undefined
  // Both the path itself and its target: the owner of the directory may have changed either.
  const isInside = isWithin(path, stateDir) || isWithin(await realpath(path), await realpath(stateDir))
  return isInside ? { uid: found.uid, gid: found.gid === 0 ? found.uid : found.gid } : undefined
}

function isWithin(path: string, dir: string): boolean {
  const way = relative(dir, path)
  return way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way)
}

/** What `version --short` says; `undefined` when that is no version, or nothing within 5 s. */
export function askVersion(
  path: string,
  { PATH = '/usr/bin:/bin' }: Environment,
  owner?: Owner,
): Promise<string | undefined> {
  return new Promise((resolve) => {
    const bounds = { timeout: versionMs, killSignal: 'SIGKILL', maxBuffer: 65_536 } as const
    const options = { env: { PATH, NO_AUTOUPDATE: 'true', HOME: '/nonexistent' }, ...bounds }
    const onEnd = (error: Error | null, stdout: string) => resolve(error === null ? parseVersion(stdout) : undefined)
    const args = ['version', '--short']
    // From within its directory, which is entered as root: a dynamic user's lies where only root and his service come
    // (/var/lib/private).
    if (owner !== undefined) execFile(`./${basename(path)}`, args, { ...options, ...owner, cwd: dirname(path) }, onEnd)
    else execFile(path, args, options, onEnd)
  })
}
