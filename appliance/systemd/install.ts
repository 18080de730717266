/**
 * `burrow install-service` as a plan: directories, config, secrets, units, and systemd told of them. What is there is
 * kept, but for the units, which are ours; so it may be run again after an upgrade or after a credential was added.
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
  /** "/" or a staging directory, in which systemd is told nothing. */
  readonly root: string
  readonly program: Program
  readonly listen: string
  /** `undefined`: "burrow", and a config that is there need not know it. */
  readonly userName: string | undefined
  readonly hostName: string
  readonly wantsSocket: boolean
  readonly isForced: boolean
  /** Whether a config that is there is checked first. */
  readonly isChecked?: boolean
  /** Whether systemd runs the machine, and may be told. */
  readonly isBooted: boolean
  readonly env: Environment
}

export interface InstallPlan {
  readonly steps: readonly Step[]
  readonly listen: ListenAddress
  /** `undefined` when a config is there already. */
  readonly first: { readonly publicKey: string; readonly login: Login } | undefined
}

/** Looks, and changes nothing. @throws {Complaint} usage, config, refused */
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
    { verb: 'keep', what: `${places.configFile}; --user and --listen are for a new one` },
  ]
  const names = await findCredentials(places, first?.credentials ?? [])
  const units = [
    await planFile(places.unit, await formatService(wish.program, { hasSocket }), 0o644),
    ...(hasSocket ? [await planFile(places.socket, await formatSocket(toListenStream(listen)), 0o644)] : []),
    ...(await planDropIn(places, names)),
  ]
  const isChanged = [...config, ...units].some(isChange) || (await isNewerThanService(places, names))
  const told = wish.isBooted
    ? tellSystemd(wish.env, { hasSocket, isNewSocket: hasSocket && oldSocket === undefined, isChanged })
    : [howToStart(hasSocket)]
  return { steps: [...dirs, ...config, ...units, ...told], listen, first }
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
      `Cannot use --socket with "unix:${address.path}": systemd empties /run/burrow when the service stops, and the socket would go too; listen on unix:/run/burrow.sock`,
    )
  }
  return address.path
}

/** A unit that somebody else wrote is not replaced unasked. */
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
    if (text !== undefined && !(await isOurs(text, name)))
      throw new Complaint(
        'refused',
        `Cannot write "${file}": there is a unit of that name that is not Burrow's own; remove it, or use --force to replace it`,
      )
  }
}

/** Names that systemd takes for credentials; hidden files and what editors leave are none. */
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

function tellSystemd(
  env: Environment,
  { hasSocket, isNewSocket, isChanged }: { hasSocket: boolean; isNewSocket: boolean; isChanged: boolean },
): Step[] {
  const systemctl = (...args: string[]) => planCommand('systemctl', args, env)
  return [
    systemctl('daemon-reload'),
    // systemd cannot listen where the service still does.
    ...(isNewSocket ? [systemctl('stop', 'burrow.service')] : []),
    systemctl('enable', 'burrow.service', ...(hasSocket ? ['burrow.socket'] : [])),
    ...(hasSocket ? [systemctl('start', 'burrow.socket')] : []),
    systemctl(isChanged ? 'restart' : 'start', 'burrow.service'),
  ]
}

function howToStart(hasSocket: boolean): Step {
  return {
    verb: 'note',
    what: `systemd is not running here. Where it runs, start the service: systemctl daemon-reload && systemctl enable --now ${hasSocket ? 'burrow.socket ' : ''}burrow.service`,
  }
}

export const clientConfigHint = `burrow --config ${configFile} client-config`
