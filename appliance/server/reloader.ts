/**
 * What is in force: what the config says, and the users that were added. Either may change while requests are under way;
 * a config that cannot be used is logged, and nothing changes.
 */
import type { Logger } from 'pino'

import type { Reloadable } from '../../src/index.ts'
import { Complaint } from '../complaint.ts'
import type { Config } from '../config/config.ts'
import type { LoadedConfig } from '../config/load-config.ts'
import { mergeUsers } from '../users/merge-users.ts'
import type { OpenTeam } from '../users/team.ts'
import { findRestartOnly } from './reload.ts'

/** The config that was loaded last, and the part of it that a reload puts in force. */
export interface Settings {
  loaded: LoadedConfig
  base: Reloadable
}

export interface ReloaderOptions {
  readonly settings: Settings
  readonly team: OpenTeam
  readonly log: Logger
  /** Reads the config again. @throws {Complaint} */
  load(): Promise<Settings>
  /** Puts it in force. */
  apply(inForce: Reloadable): void
  onReloaded(): void
}

export interface Reloader {
  readonly inForce: Reloadable
  /** The added users have changed. */
  usersChanged(): void
  /** Never rejects. Reloads run one after the other, so that the last one wins. Waiting ones are merged. */
  reload(): Promise<void>
}

export function createReloader({ settings, team, log, load, apply, onReloaded }: ReloaderOptions): Reloader {
  const started = settings.loaded.config
  let inForce = combine(settings.base, team)
  let last: Promise<void> = Promise.resolve()
  let waiting: Promise<void> | undefined

  function combineAndApply(): void {
    inForce = combine(settings.base, team)
    apply(inForce)
  }

  async function reloadOnce(): Promise<void> {
    try {
      const next = await load()
      await team.reload()
      Object.assign(settings, next)
      combineAndApply()
      const { config } = next.loaded
      log.level = config.log.level
      logWarnings(settings, inForce, team, log)
      logReload(started, config, inForce, log)
      onReloaded()
    } catch (error) {
      // A bug in a reload must not stop the server.
      log.error(
        error instanceof Complaint ? { reason: error.message } : { err: error },
        'Cannot reload the config: the previous one stays in force',
      )
    }
  }

  return {
    get inForce() {
      return inForce
    },
    usersChanged: combineAndApply,
    reload(): Promise<void> {
      waiting ??= last.then(() => {
        waiting = undefined
        return reloadOnce()
      })
      last = waiting
      return waiting
    },
  }
}

export function combine(base: Reloadable, team: OpenTeam): Reloadable {
  return { ...base, users: mergeUsers(base.users, team.added) }
}

function logReload(started: Config, next: Config, { users, signing }: Reloadable, log: Logger): void {
  log.info(
    { users: users?.map(({ name }) => name) ?? 'everybody', keys: signing.map(({ name }) => name) },
    'Reloaded the config',
  )
  const waiting = findRestartOnly(started, next)
  if (waiting.length > 0) log.warn({ settings: waiting }, 'Some changed settings need a restart')
}

export function logWarnings(
  { loaded: { config, warnings } }: Settings,
  { users, signing }: Reloadable,
  team: OpenTeam,
  log: Logger,
): void {
  for (const warning of warnings) log.warn({}, warning)
  for (const { name, expires } of users ?? []) {
    if (expires !== undefined && expires.getTime() <= Date.now())
      log.warn({ user: name, expires }, 'A user has expired and is refused. Remove the user, or change "expires"')
  }
  for (const name of team.shadowed)
    log.warn(
      { user: name },
      'A user of the config was also added with "burrow user add" or an invitation: the config counts. Remove one of the two; "burrow user remove" removes the added one',
    )
  if (users?.length === 0)
    log.warn(
      {},
      'There are no users, so everybody is refused. Add one with "burrow user add NAME" or "burrow invite NAME"',
    )
  if (config.depot === undefined && team.added.some(({ access }) => access.has('push')))
    log.warn(
      {},
      'A user may push, but there is no depot, so nothing can be pushed. Set "depot": true, and restart Burrow',
    )
  if (signing.length === 0)
    log.warn({}, 'No signing key is configured: clients accept only paths that already have a signature they trust')
}
