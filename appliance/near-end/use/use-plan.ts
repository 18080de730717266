/**
 * The plan of `burrow use`: lines of nix.conf, a netrc entry and the URL for the other commands; with --push also the
 * hook, its spool directory and the systemd unit that pushes from it.
 */
import { realpath, stat } from 'node:fs/promises'
import { join } from 'node:path'

import { Complaint } from '../../complaint.ts'
import type { Machine } from '../../machine.ts'
import { planCommand, planFile, readText } from '../../plan/file-steps.ts'
import type { Step } from '../../plan/plan.ts'
import { findProgram, quote } from '../../systemd/unit-text.ts'
import { hostOf, whenItIsAway } from '../../terminal/client-setup.ts'
import { clientFileOf } from '../credentials.ts'
import type { NetrcLogin } from '../netrc.ts'
import { findNixSetting } from '../nix-settings.ts'
import { defaultSpool, formatHook, planHook } from '../post-build-hook.ts'
import { writeEntry } from './netrc-entry.ts'
import { writeBlock } from './nix-conf-block.ts'

export interface UseWish {
  readonly url: string
  /** `undefined` for a public cache. */
  readonly login: NetrcLogin | undefined
  readonly publicKeys: readonly string[]
  readonly withPush: boolean
  /** Prefix for the written files; paths inside of the files do not have it. */
  readonly root: string
  /** Whether systemd is running and is reloaded. */
  readonly isBooted: boolean
}

export interface UsePlan {
  readonly steps: readonly Step[]
  /** For --print: each file and its new contents, without the password. */
  readonly texts: readonly { readonly file: string; readonly text: string }[]
}

export const unitName = 'burrow-push.service'

export function nixDirOf({ env, homeDir, userId }: Machine): string {
  if (userId === 0) return env.NIX_CONF_DIR ?? '/etc/nix'
  return join(env.XDG_CONFIG_HOME?.startsWith('/') === true ? env.XDG_CONFIG_HOME : join(homeDir, '.config'), 'nix')
}

/** The netrc file that Nix uses on this machine or for this user. */
export async function netrcFileOf(machine: Machine, root: string): Promise<string> {
  // The settings of this machine do not apply to an image.
  const set = root === '/' ? await findNixSetting(machine, 'netrc-file') : undefined
  return set ?? join(nixDirOf(machine), 'netrc')
}

/** Rejects with a Complaint. */
export async function planUse(machine: Machine, wish: UseWish): Promise<UsePlan> {
  const { url, login, publicKeys, withPush, root, isBooted } = wish
  const nixDir = nixDirOf(machine)
  const netrcFile = await netrcFileOf(machine, root)
  const hookFile = join(nixDir, 'burrow-post-build-hook')
  const spool = defaultSpool(machine)
  const conf = await readConf(below(root, join(nixDir, 'nix.conf')))
  const hookLine = `post-build-hook = ${hookFile}`
  const lines = [
    `extra-substituters = ${url}`,
    ...(publicKeys.length > 0 ? [`extra-trusted-public-keys = ${publicKeys.join(' ')}`] : []),
    ...whenItIsAway,
    // Nix's default needs no line.
    ...(login !== undefined && netrcFile !== '/etc/nix/netrc' ? [`netrc-file = ${netrcFile}`] : []),
    // Keep the hook of an earlier run with --push.
    ...(withPush || conf.text.split('\n').includes(hookLine) ? [hookLine] : []),
  ]
  const { text: confText, leftOut } = writeBlock(conf.text, url, lines)
  const texts: { file: string; text: string }[] = [{ file: join(nixDir, 'nix.conf'), text: `${lines.join('\n')}\n` }]
  const steps: Step[] = []
  if (login !== undefined) {
    const file = await realpathOf(below(root, netrcFile))
    steps.push(await planFile(file, writeEntry((await readText(file)) ?? '', hostOf(url), login), 0o600))
    texts.push({ file: netrcFile, text: writeEntry('', hostOf(url), { ...login, password: 'PASSWORD' }) })
  }
  const client = `${JSON.stringify({ url })}\n`
  steps.push(await planFile(below(root, clientFileOf(machine)), client, 0o644))
  texts.push({ file: clientFileOf(machine), text: client })
  const unitFile = `/etc/systemd/system/${unitName}`
  const unit = formatUnit(url, spool, (await findProgram()).command)
  if (withPush) {
    steps.push(
      ...(await planHook(below(root, hookFile), below(root, spool), spool)),
      await planUnit(below(root, unitFile), unit),
    )
    texts.push({ file: hookFile, text: formatHook(spool) }, { file: unitFile, text: unit })
  }
  // After the hook is written: a missing hook fails builds.
  steps.push(
    await planFile(conf.file, confText, conf.mode),
    ...leftOut.map((name): Step => ({ verb: 'note', what: noteOf(name, conf.file) })),
  )
  if (withPush) {
    const systemctl = (...args: string[]) => planCommand('systemctl', args, machine.env)
    if (isBooted) steps.push(systemctl('daemon-reload'), systemctl('enable', unitName), systemctl('restart', unitName))
    else
      steps.push({
        verb: 'note',
        what: `systemd is not running. To enable the service later: systemctl enable --now ${unitName}`,
      })
  }
  return { steps, texts }
}

/** Rejects with a Complaint if the file is in the Nix store. */
async function readConf(
  named: string,
): Promise<{ readonly file: string; readonly text: string; readonly mode: number }> {
  const file = await realpathOf(named)
  if (/^\/nix\/store\//.test(file)) {
    throw new Complaint(
      'refused',
      `Cannot write "${named}": it is in the Nix store and managed by NixOS. Use services.burrow-client in the NixOS configuration instead`,
    )
  }
  const mode = await stat(file).then(
    ({ mode: bits }) => bits & 0o777,
    () => 0o644,
  )
  return { file, text: (await readText(file)) ?? '', mode }
}

/** Writes to the target of a link, so that the link is kept. */
function realpathOf(file: string): Promise<string> {
  return realpath(file).catch(() => file)
}

function noteOf(name: string, file: string): string {
  const kept = `"${file}" already sets "${name}"; that value is kept`
  return name === 'post-build-hook' ? `${kept}: builds are pushed only if that hook also calls Burrow's` : kept
}

async function planUnit(file: string, text: string): Promise<Step> {
  const present = await readText(file)
  // By the start of the first line: the rest of it differs between versions.
  if (present !== undefined && !present.startsWith(`# ${unitName}: `)) {
    throw new Complaint(
      'refused',
      `Cannot write "${file}": this unit exists and was not written by Burrow; remove it first`,
    )
  }
  return await planFile(file, text, 0o644)
}

/** The service runs as root, because only root can read the spool directory, the netrc file and some store files. */
function formatUnit(url: string, spool: string, command: readonly string[]): string {
  const words = [...command, 'watch-store', '--to', url, '--spool', spool].map(quote)
  return `# ${unitName}: pushes what Nix builds on this machine. Written by "burrow use --push", which replaces it.

[Unit]
Description=Burrow, pushing what Nix builds on this machine to a cache
Documentation=man:burrow(8)
After=network.target nix-daemon.socket
StartLimitIntervalSec=0

[Service]
ExecStart=${words.join(' ')}
StateDirectory=burrow-push
StateDirectoryMode=0700
# Longer than the 30 s in which it pushes the rest of its queue.
TimeoutStopSec=60
Restart=on-failure
RestartSec=5
RestartPreventExitStatus=2
NoNewPrivileges=yes
ProtectSystem=strict
ReadWritePaths=${quote(spool)}
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
RestrictSUIDSGID=yes

[Install]
WantedBy=multi-user.target
`
}

function below(root: string, path: string): string {
  return root === '/' ? path : join(root, path)
}
