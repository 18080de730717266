/**
 * The plan of `burrow install-service`: directories, config, secrets, units, and a reload of systemd. Existing files are
 * kept, except for the units, which belong to Burrow. It may be run again after an upgrade or after adding a credential.
 */
import { readdir } from 'node:fs/promises'
import { Complaint, systemCodeOf } from '../complaint.ts'
import { type ListenAddress, parseListenAddress } from '../config/listen-address.ts'
import type { Environment } from '../machine.ts'
import { planCommand, planDir, planFile, planRemoval, readText } from '../plan/file-steps.ts'
import { isChange, type Step } from '../plan/plan.ts'
import type { Login } from '../terminal/client-setup.ts'
import { findListen, planFirstConfig } from './first-config.ts'
import { type ConfigLocations, configFile, placesBelow } from './places.ts'
import { checkPresentConfig, isNewerThanService, requireKnownUser } from './present-config.ts'
import { formatCredentials, formatService, formatSocket, isOurs, type Program } from './unit-text.ts'

export interface InstallWish {
  /** "/", or a staging directory, for which systemd is not reloaded. */
  readonly root: string
  readonly program: Program
  readonly listen: string
  /** `undefined`: "burrow" in a new config; an existing config is not checked for it. */
  readonly userName: string | undefined
  readonly hostName: string
  readonly wantsSocket: boolean
  readonly isForced: boolean
  /** Whether an existing config is checked first. */
  readonly isChecked?: boolean
  /** Whether systemd is running and is reloaded. */
  readonly isBooted: boolean
  readonly env: Environment
}

export interface InstallPlan {
  readonly steps: readonly Step[]
  readonly listen: ListenAddress
  /** `undefined` if there already is a config. */
  readonly first: { readonly publicKey: string; readonly login: Login } | undefined
}

/** Changes nothing. @throws {Complaint} usage, config, refused */
export async function planInstall(wish: InstallWish): Promise<InstallPlan> {
  const places = placesBelow(wish.root)
  const present = await readText(places.configFile)
  const listenText = (present === undefined ? undefined : findListen(present)) ?? wish.listen
  const listen = requireAddress(listenText)
  const oldSocket = await readText(places.socket)
  const hasSocket = wish.wantsSocket || oldSocket !== undefined
  await refuseForeign(wish, places, oldSocket)
  if (present !== undefined) {
    if (wish.userName !== undefined) requireKnownUser(present, wish.userName)
    if (wish.isChecked !== false) await checkPresentConfig(places)
  }

  const dirs = [await planDir(places.configDir, 0o755), await planDir(places.credentialsDir, 0o700)]
  const first =
    present === undefined
      ? await planFirstConfig({ ...wish, userName: wish.userName ?? 'burrow', places, listen: listenText })
      : undefined
  const config: readonly Step[] = first?.steps ?? [
    { verb: 'keep', what: `${places.configFile}; --user and --listen only apply to a new config` },
  ]
  const names = await findCredentials(places, first?.credentials ?? [])
  const units = [
    await planFile(places.unit, await formatService(wish.program, { hasSocket }), 0o644),
    ...(hasSocket ? [await planFile(places.socket, await formatSocket(toListenStream(listen)), 0o644)] : []),
    ...(await planDropIn(places, names)),
  ]
  const isChanged = [...config, ...units].some(isChange) || (await isNewerThanService(places, names))
  const commands = wish.isBooted
    ? planSystemctl(wish.env, { hasSocket, isNewSocket: hasSocket && oldSocket === undefined, isChanged })
    : [howToStart(hasSocket)]
  return { steps: [...dirs, ...config, ...units, ...commands], listen, first }
}

function requireAddress(text: string): ListenAddress {
  const parsed = parseListenAddress(text)
  if ('refusal' in parsed) throw new Complaint('usage', `Cannot use --listen "${text}": it ${parsed.refusal}`)
  return parsed
}

function toListenStream(address: ListenAddress): string {
  if (address.kind === 'tcp')
    return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`
  if (address.path.startsWith('/run/burrow/')) {
    throw new Complaint(
      'usage',
      `Cannot use --socket with "unix:${address.path}": systemd empties /run/burrow when the service stops, which would remove the socket; use "unix:/run/burrow.sock"`,
    )
  }
  return address.path
}

/** Does not replace units that Burrow did not write, except with --force. */
async function refuseForeign(
  { isForced }: InstallWish,
  places: ConfigLocations,
  oldSocket: string | undefined,
): Promise<void> {
  if (isForced) return
  const units = [
    ['burrow.service', places.unit, await readText(places.unit)],
    ['burrow.socket', places.socket, oldSocket],
  ] as const
  for (const [name, file, text] of units) {
    if (text !== undefined && !isOurs(text, name))
      throw new Complaint(
        'refused',
        `Cannot write "${file}": this unit exists and was not written by Burrow; remove it, or use --force to replace it`,
      )
  }
}

/** Names that systemd accepts for credentials, without hidden files and temporary files of editors. */
async function findCredentials({ credentialsDir }: ConfigLocations, planned: readonly string[]): Promise<string[]> {
  try {
    const entries = await readdir(credentialsDir, { withFileTypes: true })
    const found = entries.filter(
      (entry) => entry.isFile() && /^\w[\w.-]{0,127}$/.test(entry.name) && !/\.(?:tmp|bak|swp)$/.test(entry.name),
    )
    return [...new Set([...found.map(({ name }) => name), ...planned])].sort()
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return [...planned].sort()
    throw error
  }
}

async function planDropIn(places: ConfigLocations, names: readonly string[]): Promise<Step[]> {
  const text = formatCredentials(names)
  return text === undefined
    ? await planRemoval(places.credentialsDropIn)
    : [await planFile(places.credentialsDropIn, text, 0o644)]
}

function planSystemctl(
  env: Environment,
  { hasSocket, isNewSocket, isChanged }: { hasSocket: boolean; isNewSocket: boolean; isChanged: boolean },
): Step[] {
  const systemctl = (...args: string[]) => planCommand('systemctl', args, env)
  return [
    systemctl('daemon-reload'),
    // systemd cannot listen on the address while the service still does.
    ...(isNewSocket ? [systemctl('stop', 'burrow.service')] : []),
    systemctl('enable', 'burrow.service', ...(hasSocket ? ['burrow.socket'] : [])),
    ...(hasSocket ? [systemctl('start', 'burrow.socket')] : []),
    systemctl(isChanged ? 'restart' : 'start', 'burrow.service'),
  ]
}

function howToStart(hasSocket: boolean): Step {
  return {
    verb: 'note',
    what: `systemd is not running. To start the service later: systemctl daemon-reload && systemctl enable --now ${hasSocket ? 'burrow.socket ' : ''}burrow.service`,
  }
}

export const clientConfigHint = `burrow --config ${configFile} client-config`
