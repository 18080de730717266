/**
 * Reads the config again while requests are under way: what changes at once, and what needs a restart. A config with a
 * mistake is logged and changes nothing.
 */
import { isDeepStrictEqual } from 'node:util'
import type { Logger } from 'pino'

import type { Cache, Reloadable } from '../../src/index.ts'
import { Complaint } from '../complaint.ts'
import type { Config } from '../config/config.ts'
import { type LoadedConfig, loadConfig } from '../config/load-config.ts'
import type { ConfigSource } from '../config/read-document.ts'
import type { Machine } from '../machine.ts'
import type { State } from '../state/state.ts'
import { loadReloadable } from '../users/load-reloadable.ts'

export interface ReloaderOptions {
  readonly machine: Machine
  /** What Burrow started with. */
  readonly loaded: LoadedConfig
  readonly source: ConfigSource
  readonly log: Logger
  readonly state: State
  readonly cache: Cache
  readonly inForce: Reloadable
  onReloaded(): void
}

export function createReloader({ machine, loaded, source, log, state, cache, inForce, onReloaded }: ReloaderOptions) {
  let current = inForce
  let last: Promise<void> = Promise.resolve()
  let waiting: Promise<void> | undefined

  async function reloadOnce(): Promise<void> {
    try {
      const next = loadConfig(source)
      const replacement = await loadReloadable({ loaded: next, state, hostName: machine.hostName, log })
      cache.reload(replacement)
      current = replacement
      log.level = next.config.log.level
      logWarnings(next, replacement, log)
      logReload(loaded.config, next.config, replacement, log)
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
      return current
    },
    /** Reloads run one after the other, so that the last one wins. Waiting ones are merged. */
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

function logReload(started: Config, next: Config, { users, signing }: Reloadable, log: Logger): void {
  log.info(
    { users: users?.map(({ name }) => name) ?? 'everybody', keys: signing.map(({ name }) => name) },
    'Reloaded the config',
  )
  const waiting = findRestartOnly(started, next)
  if (waiting.length > 0) log.warn({ settings: waiting }, 'Some changed settings need a restart')
}

export function logWarnings({ warnings }: LoadedConfig, { users, signing }: Reloadable, log: Logger): void {
  for (const warning of warnings) log.warn({}, warning)
  for (const { name, expires } of users ?? []) {
    if (expires !== undefined && expires.getTime() <= Date.now())
      log.warn({ user: name, expires }, 'A user has expired and is refused. Remove the user, or change "expires"')
  }
  if (signing.length === 0)
    log.warn({}, 'No signing key is configured: clients accept only paths that already have a signature they trust')
}

/** The settings that a reload changes; of the log only its level. */
const live: readonly (keyof Config)[] = ['file', 'access', 'signing', 'indexPage', 'contact', 'log']

/** Names of settings that differ and stay as they were until the next start. */
export function findRestartOnly(current: Config, next: Config): string[] {
  const names = Object.keys(next) as (keyof Config)[]
  const changed = names.filter((name) => !live.includes(name) && !isDeepStrictEqual(current[name], next[name]))
  const logs = (['format', 'requests'] as const).filter((name) => current.log[name] !== next.log[name])
  return [...changed, ...logs.map((name) => `log.${name}`)]
}
