/** `burrow tunnel install`: cloudflared, fetched and checked, into the state directory. */
import { arch, platform } from 'node:os'
import { Command } from 'commander'

import { Complaint } from '../../complaint.ts'
import { loadConfig } from '../../config/load-config.ts'
import { formatBytes } from '../../in-words.ts'
import type { Machine, SignalName } from '../../machine.ts'
import { prepareStateDir } from '../../state-dir.ts'
import { findBinary } from '../../tunnel/binary.ts'
import { type StartFetch, startFetch as startRealFetch } from '../../tunnel/fetch-release.ts'
import { type Installed, installBinary } from '../../tunnel/install.ts'
import { LaunchFault } from '../../tunnel/launch.ts'
import { chooseRelease, pinnedVersion, type Release } from '../../tunnel/release.ts'
import { isOlder, leastVersion } from '../../tunnel/version.ts'

interface InstallOptions {
  readonly config?: string
  readonly version?: string
  readonly sha256?: string
  readonly force?: boolean
}

export function tunnelInstallCommand(machine: Machine, startFetch: StartFetch = startRealFetch): Command {
  return new Command('install')
    .description("fetch Cloudflare's cloudflared into the state directory, where Burrow finds it")
    .option('--version <version>', `another version than ${pinnedVersion}; needs --sha256`)
    .option('--sha256 <sum>', 'what its SHA-256 must be')
    .option('--force', 'fetch it even if it is there')
    .addHelpText(
      'after',
      `
It comes from https://github.com/cloudflare/cloudflared/releases (some 40 MB), and becomes executable only if its SHA-256 is right. Burrow knows that of
${pinnedVersion} for Linux on amd64 and arm64; for other versions and machines give it: it is published at
https://github.com/cloudflare/cloudflared/releases/tag/VERSION under "SHA256 Checksums", beside the name of the file, such as cloudflared-linux-arm.
(On macOS it must be that of the program inside the archive.)

A cloudflared that the config names, or that is on PATH, is taken before it, unless the one on PATH is older than ${leastVersion}.

  burrow tunnel install
  burrow tunnel install --version 2026.8.2 --sha256 SUM`,
    )
    .action((_options, command: Command) => install(machine, startFetch, command))
}

async function install(machine: Machine, startFetch: StartFetch, command: Command): Promise<void> {
  const { config: file, version, sha256, force } = command.optsWithGlobals<InstallOptions>()
  const { config } = loadConfig({ machine, file })
  const release = chooseRelease({ version, sha256, platform: platform(), arch: arch() })
  if ('refusal' in release) throw new Complaint('usage', `Cannot install cloudflared: ${release.refusal}; ${release.remedy}`)
  await prepareStateDir(config.state.dir, machine.userId)
  const progress = startProgress(machine, release)
  const interruption = new AbortController()
  const restore = signals.map((signal) => machine.onSignal(signal, () => interruption.abort(interrupted())))
  let installed: Installed
  try {
    installed = await installBinary({
      release,
      stateDir: config.state.dir,
      env: machine.env,
      isForced: force === true,
      startFetch,
      clock: { now: Date.now, after },
      signal: interruption.signal,
      onBegin: progress.begin,
      onProgress: progress.tell,
    })
  } finally {
    progress.end()
    for (const undo of restore) undo()
  }
  machine.stdout.write(await formatEnd(installed, machine, config.tunnel?.binary, config.state.dir))
}

const signals: readonly SignalName[] = ['SIGINT', 'SIGTERM', 'SIGHUP']

const interrupted = () => new Complaint('interrupted', 'Interrupted: nothing was installed')

/** On a terminal a line that grows; elsewhere only what is begun. */
function startProgress({ stderr }: Machine, { version, url, bytes }: Release) {
  let isOnLine = false
  const whole = bytes === undefined ? '' : ` of ${formatBytes(bytes)}`
  return {
    begin: () => void stderr.write(`Fetching cloudflared ${version} from ${url}${bytes === undefined ? '' : ` (${formatBytes(bytes)})`}\n`),
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

async function formatEnd({ path, version, isNew }: Installed, { env }: Machine, binary: string | undefined, stateDir: string): Promise<string> {
  const done = isNew
    ? `Installed cloudflared ${version} as "${path}"; its SHA-256 is right\n`
    : `cloudflared ${version} is there already, as "${path}", with the right SHA-256; nothing was changed\n`
  const warning = isOlder(version, leastVersion) ? `Burrow wants ${leastVersion} or newer: it may not do all that Burrow asks of it\n` : ''
  return done + warning + (await tellOther(path, { settings: { binary }, env, stateDir }))
}

/** What was installed may not be what is taken. */
async function tellOther(path: string, search: Parameters<typeof findBinary>[0]): Promise<string> {
  try {
    const taken = await findBinary(search)
    if (taken === undefined || taken.path === path) return ''
    const { settings } = search
    const why =
      settings.binary === undefined
        ? `is on PATH and is taken before it; to use this one, set "tunnel": { "binary": ${JSON.stringify(path)} }`
        : 'is what the config names'
    return `Note: "${taken.path}"${taken.version === undefined ? '' : `, version ${taken.version},`} ${why}\n`
  } catch (error) {
    if (!(error instanceof LaunchFault)) throw error
    return `Note: ${error.message}; ${error.remedy}\n`
  }
}

function after(ms: number, callback: () => void): () => void {
  const timer = setTimeout(callback, ms)
  return () => clearTimeout(timer)
}
