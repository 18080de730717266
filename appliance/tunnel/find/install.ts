/**
 * cloudflared into its place: fetched into a directory of its own beside that, compared with its SHA-256 while no
 * process may execute it, tried, and put there by rename.
 *   <state>/bin/.burrow-fetch-Xy12z3/cloudflared  →  <state>/bin/cloudflared
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmod, lstat, mkdir, mkdtemp, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { promisify } from 'node:util'

import { Complaint, reasonOf, systemCodeOf } from '../../complaint.ts'
import type { Environment } from '../launch/connector-env.ts'
import type { TunnelClock } from '../tunnel-clock.ts'
import { askVersion } from './binary.ts'
import { findUnexecutable, isForeign } from './executable.ts'
import { type FetchFile, FetchStopped } from './fetch-file.ts'
import type { Release } from './release.ts'

export interface Installation {
  readonly release: Release
  /** Where to; only this user and root may write to its directory, which is created if it is missing. */
  readonly path: string
  readonly env: Environment
  /** Fetch it even if it is there. */
  readonly isForced: boolean
  /** What is there by that name came from here too. If not, it is replaced only when `isForced`. */
  readonly isOurPlace: boolean
  readonly fetchFile: FetchFile
  readonly clock: Pick<TunnelClock, 'now' | 'after'>
  /** Gives up and tidies up. */
  readonly signal: AbortSignal
  /** Called before anything is fetched. */
  readonly onBegin: () => void
  /** Bytes that are there by now. */
  readonly onProgress: (bytes: number) => void
}

export interface Installed {
  readonly path: string
  readonly version: string
  /** False: it was there already. */
  readonly isNew: boolean
}

/** 64 MiB at 1 Mbit/s. The programs have some 40 MB; what they may grow to is left some room. */
const limits = { wholeMs: 600_000, stallMs: 30_000, maxBytes: 256 * 1024 * 1024 } as const

/** @throws {Complaint} refused, interrupted: nothing was changed, and no file is left behind */
export async function installBinary(installation: Installation): Promise<Installed> {
  const { release, path, isForced, isOurPlace } = installation
  try {
    if (!isForced && (await isInstalled(path, release))) return { path, version: release.version, isNew: false }
    if (!isForced && !isOurPlace && (await isTaken(path)))
      throw refusal(
        release,
        `there is another "${path}"`,
        'if nothing else uses it (a package, another service), replace it with --force',
      )
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    await removeRemains(installation)
    const dir = await mkdtemp(join(dirname(path), fetchPrefix))
    try {
      await fetchAndTry(installation, join(dir, basename(path)))
      await rename(join(dir, basename(path)), path)
    } finally {
      await rm(dir, { recursive: true, force: true })
    }
    return { path, version: release.version, isNew: true }
  } catch (error) {
    if (error instanceof Complaint) throw error
    throw refusal(
      release,
      reasonOf(error),
      `check that "${dirname(path)}" is writable and has 100 MiB of free space`,
      error,
    )
  }
}

async function isInstalled(path: string, { sha256 }: Release): Promise<boolean> {
  return (await findUnexecutable(path)) === undefined && (await hashFile(path)) === sha256
}

async function isTaken(path: string): Promise<boolean> {
  try {
    await lstat(path)
    return true
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return false
    throw error
  }
}

async function fetchAndTry(installation: Installation, file: string): Promise<void> {
  const { release, fetchFile, env, signal, clock, onBegin, onProgress } = installation
  const isArchive = release.asset.endsWith('.tgz')
  onBegin()
  let sha256: string
  try {
    sha256 = await fetchFile({
      url: release.url,
      to: isArchive ? `${file}.tgz` : file,
      env,
      limits,
      clock,
      signal,
      onProgress,
    })
  } catch (error) {
    if (error instanceof Complaint || isOfThisDisk(error)) throw error
    throw refusal(release, `it cannot be fetched from ${release.url}: ${wordsOf(error)}`, byOtherMeans, error)
  }
  if (isArchive) sha256 = await unpack(release, file)
  if (sha256 !== release.sha256) {
    throw refusal(
      release,
      `what came from ${release.url} has the SHA-256 ${sha256} instead of ${release.sha256}`,
      'do not use it; try again, and compare the sums',
    )
  }
  if (await isForeign(file))
    throw refusal(
      release,
      `"${release.asset}" is not an executable for this machine`,
      'check that version and SHA-256 are for the architecture of this machine',
    )
  await chmod(file, 0o755)
  const version = await askVersion(file, env)
  if (version === undefined) {
    const remedy = `check that programs can be executed in "${dirname(dirname(file))}" (no mount option noexec)`
    throw refusal(release, 'it has the right SHA-256 and does not run: "version --short" was not answered', remedy)
  }
  if (version !== release.version)
    throw refusal(release, `it says that it is version ${version}`, 'give the SHA-256 that belongs to --version')
  signal.throwIfAborted()
}

/** Of macOS. The sum that counts is that of the program, so that one which is there can be compared too. */
async function unpack(release: Release, file: string): Promise<string> {
  try {
    await promisify(execFile)('tar', ['-xzf', `${file}.tgz`, '-C', dirname(file), 'cloudflared'])
    await chmod(file, 0o600)
    return await hashFile(file)
  } catch (error) {
    throw refusal(release, `"${release.asset}" cannot be unpacked: ${reasonOf(error)}`, byOtherMeans, error)
  }
}

const byOtherMeans = 'try again, or fetch it by other means and name it in the config: "tunnel": { "binary": … }'

function refusal({ version }: Release, reason: string, remedy: string, cause?: unknown): Complaint {
  return new Complaint('refused', `Cannot install cloudflared ${version}: ${reason}; ${remedy}`, { cause })
}

/** Not the network's doing. */
function isOfThisDisk(error: unknown): boolean {
  return ['ENOSPC', 'EDQUOT', 'EROFS', 'EACCES', 'ENOENT', 'EIO'].includes(systemCodeOf(error) ?? '')
}

const networkWords: Readonly<Record<string, string>> = {
  ENOTFOUND: 'its name cannot be resolved (check the Internet connection and DNS of this machine)',
  EAI_AGAIN: 'its name cannot be resolved (check the Internet connection and DNS of this machine)',
  ECONNREFUSED: 'the connection was refused',
  ECONNRESET: 'the connection was cut',
  ENETUNREACH: 'the network cannot be reached',
  EHOSTUNREACH: 'the host cannot be reached',
  ETIMEDOUT: 'the connection timed out',
}

function wordsOf(error: unknown): string {
  if (error instanceof FetchStopped) return error.message
  const known = networkWords[systemCodeOf(error) ?? '']
  return known ?? (error instanceof Error ? error.message.replaceAll(/\s+/g, ' ').slice(0, 300) : String(error))
}

/** Also written to the disk for good, so that after a power cut the name never leads to nothing. */
async function hashFile(file: string): Promise<string> {
  await using handle = await open(file, 'r')
  const hash = createHash('sha256')
  for await (const chunk of handle.createReadStream({ autoClose: false })) hash.update(chunk)
  await handle.sync()
  return hash.digest('hex')
}

const fetchPrefix = '.burrow-fetch-'

/** What a killed process left; one that still runs is younger than its limit. */
async function removeRemains({ path, clock }: Installation): Promise<void> {
  const dir = dirname(path)
  for (const name of await readdir(dir)) {
    if (!name.startsWith(fetchPrefix)) continue
    const { mtimeMs } = await stat(join(dir, name)).catch(() => ({ mtimeMs: Number.POSITIVE_INFINITY }))
    if (clock.now() - mtimeMs > 2 * limits.wholeMs) await rm(join(dir, name), { recursive: true, force: true })
  }
}
