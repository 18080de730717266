/**
 * What `burrow use` writes: lines of nix.conf, an entry of netrc, the URL for the other commands; with --push or --relay
 * what those parts need.
 */
import { realpath, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { hostOf, outageSettings } from '../../../src/index.ts'
import { Complaint } from '../../complaint.ts'
import type { Machine } from '../../machine.ts'
import { planFile, readText } from '../../plan/file-steps.ts'
import type { Step } from '../../plan/plan.ts'
import { clientFileOf } from '../credentials.ts'
import type { NetrcLogin } from '../netrc.ts'
import { findNixSetting } from '../nix-settings.ts'
import { writeEntry } from './netrc-entry.ts'
import { writeBlock } from './nix-conf-block.ts'
import { planPush } from './push-unit.ts'
import { planRelay, relaySettings, relaySubstituter } from './relay-plan.ts'
import type { UsePlan, UseWish } from './use-wish.ts'

const nothing: UsePlan = { steps: [], texts: [] }

export function nixDirOf({ env, homeDir, userId }: Machine): string {
  if (userId === 0) return env.NIX_CONF_DIR ?? '/etc/nix'
  return join(env.XDG_CONFIG_HOME?.startsWith('/') === true ? env.XDG_CONFIG_HOME : join(homeDir, '.config'), 'nix')
}

export const hookFileOf = (machine: Machine) => join(nixDirOf(machine), 'burrow-post-build-hook')

/** Where Nix looks for the login of this machine or user. */
export async function netrcFileOf(machine: Machine, root: string): Promise<string> {
  // The settings of this machine do not apply to an image.
  const set = root === '/' ? await findNixSetting(machine, 'netrc-file') : undefined
  return set ?? join(nixDirOf(machine), 'netrc')
}

/** Rejects with a Complaint. */
export async function planUse(machine: Machine, wish: UseWish): Promise<UsePlan> {
  const { url, login, withPush, withRelay } = wish
  const named = (path: string) => below(wish.root, path)
  const nixDir = nixDirOf(machine)
  const netrcFile = await netrcFileOf(machine, wish.root)
  const hookFile = hookFileOf(machine)
  const conf = await readConf(named(join(nixDir, 'nix.conf')))
  const part = withRelay
    ? await planRelay(machine, wish, netrcFile, named)
    : withPush
      ? await planPush(machine, wish, hookFile, named)
      : nothing
  const hookLine = `post-build-hook = ${hookFile}`
  // What was set up once stays without --push.
  const hasHook = (withPush && !withRelay) || conf.text.split('\n').includes(hookLine)
  const lines = [...formatSettings(wish, netrcFile), ...(hasHook ? [hookLine] : [])]
  const { text: confText, leftOut } = writeBlock(conf.text, url, lines)
  const client = `${JSON.stringify({ url })}\n`
  const steps: readonly Step[] = [
    ...(login === undefined ? [] : [await planLogin(named(netrcFile), url, login)]),
    await planFile(named(clientFileOf(machine)), client, 0o644),
    ...part.steps,
    // After what it names: a hook that is not there fails builds.
    await planFile(conf.file, confText, conf.mode),
    ...leftOut.map((name): Step => ({ verb: 'note', what: noteOf(name, conf.file) })),
  ]
  const texts = [
    { file: join(nixDir, 'nix.conf'), text: `${lines.join('\n')}\n` },
    ...(login === undefined
      ? []
      : [{ file: netrcFile, text: writeEntry('', hostOf(url), { ...login, password: 'PASSWORD' }) }]),
    { file: clientFileOf(machine), text: client },
    ...part.texts,
  ]
  return { steps, texts }
}

/** The lines of nix.conf, but for the hook. */
function formatSettings({ url, login, publicKeys, withRelay }: UseWish, netrcFile: string): string[] {
  // The file that Nix takes by itself needs no line, and the relay no file of Nix's.
  const needsNetrc = login !== undefined && !withRelay && netrcFile !== '/etc/nix/netrc'
  return [
    `extra-substituters = ${withRelay ? relaySubstituter : url}`,
    ...(publicKeys.length > 0 ? [`extra-trusted-public-keys = ${publicKeys.join(' ')}`] : []),
    ...(withRelay ? relaySettings : outageSettings),
    ...(needsNetrc ? [`netrc-file = ${netrcFile}`] : []),
  ]
}

async function planLogin(named: string, url: string, login: NetrcLogin): Promise<Step> {
  const file = await realpathOf(named)
  return await planFile(file, writeEntry((await readText(file)) ?? '', hostOf(url), login), 0o600)
}

/** Rejects with a Complaint when it is not for a person to change. */
export async function readConf(
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

/** A link stays one. */
export function realpathOf(file: string): Promise<string> {
  return realpath(file).catch(() => file)
}

function noteOf(name: string, file: string): string {
  const kept = `"${file}" already sets "${name}"; that value is kept`
  return name === 'post-build-hook' ? `${kept}: builds are pushed only if that hook also calls Burrow's` : kept
}

export function below(root: string, path: string): string {
  return root === '/' ? path : join(root, path)
}
