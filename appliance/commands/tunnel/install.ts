/** `burrow tunnel install`: downloads cloudflared, verifies it, and installs it into the state or another directory. */
import { stat } from 'node:fs/promises'
import { arch, platform } from 'node:os'
import { join, resolve } from 'node:path'
import { Command } from 'commander'

import { Complaint, reasonOf } from '../../complaint.ts'
import { loadLocations } from '../../config/load-config.ts'
import type { Machine, SignalName } from '../../machine.ts'
import { prepareStateDir } from '../../state/state-dir.ts'
import { formatBytes } from '../../terminal/format.ts'
import { type BinarySearch, findBinary, installedBinaryPath } from '../../tunnel/find/binary.ts'
import { type FetchFile, fetchFile as fetchRealFile } from '../../tunnel/find/fetch-file.ts'
import { type Installed, installBinary } from '../../tunnel/find/install.ts'
import { chooseRelease, knownVersions, pinnedVersion, type Release } from '../../tunnel/find/release.ts'
import { findVersionFault, leastVersion } from '../../tunnel/find/version.ts'
import { LaunchFault } from '../../tunnel/launch/launch.ts'

interface InstallOptions {
  readonly config?: string
  readonly version?: string
  readonly sha256?: string
  readonly force?: boolean
  readonly to?: string
}

export function tunnelInstallCommand(machine: Machine, fetchFile: FetchFile = fetchRealFile): Command {
  return new Command('install')
    .description("download Cloudflare's cloudflared into the state directory, where Burrow finds it")
    .option(
      '--version <version>',
      `version to install instead of ${pinnedVersion}; needs --sha256, except for ${knownVersions.slice(1).join(' and ')}`,
    )
    .option('--sha256 <sum>', 'SHA-256 of the file')
    .option('--to <dir>', 'install into this directory, such as /usr/local/bin, for a service with a dynamic user')
    .option('--force', 'download it even if it or another version is installed')
    .addHelpText(
      'after',
      `
It is downloaded from https://github.com/cloudflare/cloudflared/releases (about 40 MB), and made executable only if its SHA-256 is correct. Burrow knows the SHA-256 of
${knownVersions.join(' and ')} for Linux on amd64 and arm64, and installs the newest of these. For a newer release, give version and SHA-256. The SHA-256 is published at
https://github.com/cloudflare/cloudflared/releases/tag/VERSION under "SHA256 Checksums", next to the file name, such as cloudflared-linux-arm.
(On macOS, give the SHA-256 of the program inside the archive.)

Burrow prefers a cloudflared that is set in the config, or that is on PATH, unless the one on PATH is older than ${leastVersion} or than a year, or was withdrawn.

  burrow tunnel install
  burrow tunnel install --to /usr/local/bin      as root, for a service with a dynamic user
  burrow tunnel install --version 2026.11.2 --sha256 SUM`,
    )
    .action((_options, command: Command) => install(machine, fetchFile, command))
}

async function install(machine: Machine, fetchFile: FetchFile, command: Command): Promise<void> {
  const { config: file, version, sha256, force, to } = command.optsWithGlobals<InstallOptions>()
  const { state, tunnel } = loadLocations({ machine, file })
  const release = chooseRelease({ version, sha256, platform: platform(), arch: arch() })
  if ('refusal' in release)
    throw new Complaint('usage', `Cannot install cloudflared: ${release.refusal}; ${release.remedy}`)
  const path =
    to === undefined
      ? await preparePlace(state.dir, machine.userId)
      : await checkPlace(resolve(machine.workingDir, to), machine.userId)
  const progress = startProgress(machine, release)
  const interruption = new AbortController()
  const restore = signals.map((signal) => machine.onSignal(signal, () => interruption.abort(interrupted())))
  let installed: Installed
  try {
    installed = await installBinary({
      release,
      path,
      env: machine.env,
      isForced: force === true,
      isOurPlace: to === undefined,
      fetchFile,
      clock: { now: Date.now, after },
      signal: interruption.signal,
      onBegin: progress.begin,
      onProgress: progress.tell,
    })
  } finally {
    progress.end()
    for (const undo of restore) undo()
  }
  machine.stdout.write(
    await formatEnd(installed, {
      settings: { binary: tunnel?.binary },
      env: machine.env,
      stateDir: state.dir,
      userId: machine.userId,
    }),
  )
}

/** @throws {Complaint} state */
async function preparePlace(stateDir: string, userId: number | undefined): Promise<string> {
  const owner = await stat(stateDir).then(
    ({ uid }) => uid,
    () => undefined,
  )
  // Its owner could place a symbolic link there, and root would write through it.
  if (userId === 0 && owner !== undefined && owner !== 0) {
    const there = `"${stateDir}": it belongs to user ${owner}, who could make root write elsewhere`
    throw new Complaint(
      'state',
      `Cannot install cloudflared into ${there}; install it where every service finds it: "burrow tunnel install --to /usr/local/bin"`,
    )
  }
  await prepareStateDir(stateDir, userId)
  return installedBinaryPath(stateDir)
}

/** @throws {Complaint} usage */
async function checkPlace(dir: string, userId: number | undefined): Promise<string> {
  const refuse = (reason: string, cause?: unknown) =>
    new Complaint('usage', `Cannot install cloudflared into "${dir}": ${reason}`, { cause })
  const found = await stat(dir).catch((error: unknown) => {
    throw refuse(`${reasonOf(error)}; give an existing directory`, error)
  })
  if (!found.isDirectory()) throw refuse('it is not a directory; give the directory to install it into')
  if (userId === 0 && found.uid !== 0)
    throw refuse(
      `it belongs to user ${found.uid}, who could make root write elsewhere; give a directory that belongs to root`,
    )
  if (userId === 0 && (found.mode & 0o1002) === 0o002)
    throw refuse('all users may write there; give a directory that only root can write')
  return join(dir, 'cloudflared')
}

const signals: readonly SignalName[] = ['SIGINT', 'SIGTERM', 'SIGHUP']

const interrupted = () => new Complaint('interrupted', 'Interrupted: nothing was installed')

/** On a terminal a line that is redrawn; otherwise only the first line. */
function startProgress({ stderr }: Machine, { version, url, bytes }: Release) {
  let isOnLine = false
  const whole = bytes === undefined ? '' : ` of ${formatBytes(bytes)}`
  return {
    begin: () =>
      void stderr.write(
        `Downloading cloudflared ${version} from ${url}${bytes === undefined ? '' : ` (${formatBytes(bytes)})`}\n`,
      ),
    tell(now: number) {
      if (stderr.isTTY !== true) return
      stderr.write(`\r${formatBytes(now)}${whole}\x1b[K`)
      isOnLine = true
    },
    end() {
      if (isOnLine) stderr.write('\n')
    },
  }
}

async function formatEnd({ path, version, isNew }: Installed, search: BinarySearch): Promise<string> {
  const done = isNew
    ? `Installed cloudflared ${version} as "${path}"; its SHA-256 is correct\n`
    : `cloudflared ${version} is already installed as "${path}", with the correct SHA-256; nothing was changed\n`
  const fault = findVersionFault(version, Date.now())
  const warning =
    fault === undefined
      ? ''
      : `Warning: cloudflared ${version} ${fault}; "burrow tunnel install --force" installs ${pinnedVersion}\n`
  return done + warning + (await tellOther(path, search))
}

/** Burrow may use another program than the installed one. */
async function tellOther(path: string, search: BinarySearch): Promise<string> {
  const toUse = `to use this one, set "tunnel": { "binary": ${JSON.stringify(path)} }`
  try {
    const taken = await findBinary(search)
    if (taken?.path === path) return ''
    if (taken === undefined) return `Note: it is not on PATH, so Burrow does not find it; ${toUse}\n`
    const other = `"${taken.path}"${taken.version === undefined ? '' : ` (version ${taken.version})`}`
    if (search.settings.binary !== undefined) return `Note: Burrow uses ${other} because of the config\n`
    return `Note: Burrow prefers ${other}; ${toUse}\n`
  } catch (error) {
    if (!(error instanceof LaunchFault)) throw error
    return `Note: ${error.message}; ${error.remedy}\n`
  }
}

function after(ms: number, callback: () => void): () => void {
  const timer = setTimeout(callback, ms)
  return () => clearTimeout(timer)
}
