/**
 * Changes users and invitations: in the running Burrow through its operator socket, where a change acts at once, or in
 * the state directory if Burrow does not run. The lock of the state directory is held meanwhile, so that no Burrow
 * starts in between.
 */
import { chown, stat } from 'node:fs/promises'
import { join } from 'node:path'

import { silentLog } from '../../src/index.ts'
import { Complaint } from '../complaint.ts'
import { type ConfigLocations, loadLocations } from '../config/load-config.ts'
import type { Machine } from '../machine.ts'
import { urlOf } from '../server/listener.ts'
import { findState } from '../state/state.ts'
import { exceptRoot, hasStateDir, ownerFor, prepareStateDir, usersFile } from '../state/state-dir.ts'
import { lockStateDir } from '../state/state-lock.ts'
import { printable } from '../terminal/format.ts'
import { type OpenTeam, openTeam } from '../users/team.ts'
import { createTeamDocument } from '../users/team-document.ts'
import type { TeamConfig } from '../users/team-ledger.ts'
import type { BaseUser } from '../users/team-view.ts'
import { askBurrowAt, NotRunning } from './command-client.ts'
import type { JsonAnswer } from './json-answer.ts'
import { changeTeam, listTeam } from './team-routes.ts'

export interface TeamQuestion {
  /** `add`, `list` */
  readonly name: string
  /** Undefined: only reads. */
  readonly body?: object
}

/** `isRunning`: whether the running Burrow answered. */
export interface TeamReply<T> {
  readonly value: T
  readonly isRunning: boolean
  readonly config: ConfigLocations
}

const timeoutMs = 30_000

/** @throws {Complaint} config, state, refused */
export async function askTeam<T>(
  machine: Machine,
  file: string | undefined,
  { name, body }: TeamQuestion,
): Promise<TeamReply<T>> {
  const config = loadLocations({ machine, file })
  const path = `/team/${name}`
  if (config.operator !== undefined) {
    try {
      const method = body === undefined ? 'GET' : 'POST'
      const value = await askBurrowAt<T>(config.operator.address, { method, path, body, timeoutMs })
      return { value, isRunning: true, config }
    } catch (error) {
      if (!(error instanceof NotRunning)) throw error
    }
  }
  const answer = body === undefined ? await read(machine, config) : await change(machine, config, path, body)
  return { value: toValue<T>(answer), isRunning: false, config }
}

/** As over the socket: dates are texts. */
function toValue<T>({ status, value }: JsonAnswer): T {
  if (status !== 200) throw new Complaint('refused', printable((value as { error: string }).error))
  return JSON.parse(JSON.stringify(value)) as T
}

async function read(machine: Machine, config: ConfigLocations): Promise<JsonAnswer> {
  const { dir } = config.state
  await hasStateDir(dir, machine.userId)
  return listTeam(await open(machine, config), urlFor(config))
}

async function change(machine: Machine, config: ConfigLocations, path: string, body: object): Promise<JsonAnswer> {
  const { dir } = config.state
  if (!(await hasStateDir(dir, machine.userId))) await prepareStateDir(dir, machine.userId)
  using _lock = await lock(machine, config)
  return await changeTeam(await open(machine, config), path, JSON.parse(JSON.stringify(body)), urlFor(config))
}

async function open(machine: Machine, config: ConfigLocations): Promise<OpenTeam> {
  const { dir } = config.state
  const owner = await ownerFor(dir, machine.userId).catch(() => undefined)
  const teamConfig = await toTeamConfig(machine, config)
  return await openTeam({
    document: createTeamDocument(join(dir, usersFile), owner),
    config: () => teamConfig,
    readActivity: () => () => undefined,
    now: () => new Date(),
    log: silentLog,
    onChange() {},
  })
}

async function lock(machine: Machine, { state: { dir }, operator }: ConfigLocations): Promise<Disposable> {
  try {
    const held = await lockStateDir(dir, machine.pid, silentLog)
    await giveLockToOwner(machine, dir)
    return held
  } catch (error) {
    if (!(error instanceof Complaint)) throw error
    const why = operator === undefined ? '"operator" is null in the config' : 'nothing listens at its operator socket'
    throw new Complaint(
      'refused',
      `Burrow is running, but cannot be asked: ${why}. Correct "operator" and restart Burrow, or stop it first`,
      { cause: error },
    )
  }
}

/** The file of the lock stays, and the service must be able to open it. */
async function giveLockToOwner({ userId }: Machine, dir: string): Promise<void> {
  const owner = await ownerFor(dir, userId)
  const file = join(dir, 'lock')
  if (owner !== undefined && (await stat(file)).uid !== owner.uid) await chown(file, owner.uid, owner.gid)
}

async function toTeamConfig(
  machine: Machine,
  { access, mutableUsers, depot, state }: ConfigLocations,
): Promise<TeamConfig> {
  const rest = { isMutable: mutableUsers, hasDepot: depot !== undefined }
  if (access.kind === 'public') return { users: undefined, source: 'config', ...rest }
  if (access.kind === 'users') return { users: access.users, source: 'config', ...rest }
  const found = await findState({ dir: state.dir, userId: exceptRoot(machine.userId), log: silentLog })
  const user = await found?.findUser()
  const users: BaseUser[] = user === undefined ? [] : [{ name: user.name, access: ['pull', 'push'] }]
  return { users, source: 'generated', ...rest }
}

function urlFor({ tunnel, listen }: ConfigLocations): string | undefined {
  return tunnel?.hostname === undefined ? urlOf(listen) : `https://${tunnel.hostname}`
}
