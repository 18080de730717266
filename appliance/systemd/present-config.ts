/**
 * An existing config is checked before anything is changed, because a service that is restarted with an invalid config
 * does not start again.
 */
import { stat } from 'node:fs/promises'

import { silentLog } from '../../src/index.ts'
import { Complaint, systemCodeOf } from '../complaint.ts'
import { checkConfigWithoutEnv, loadConfig } from '../config/load-config.ts'
import { exists, readText } from '../plan/file-steps.ts'
import { readNamedFiles } from '../users/load-reloadable.ts'
import { type ConfigLocations, cacheDir, configFile, credentialsDir, stateDir } from './places.ts'

/**
 * Checks with the directories that systemd passes to the service. If there is an environment file, only the service
 * manager knows the variables, so they are not checked. @throws {Complaint} config
 */
export async function checkPresentConfig(places: ConfigLocations): Promise<void> {
  const env = {
    CREDENTIALS_DIRECTORY: places.credentialsDir,
    STATE_DIRECTORY: stateDir,
    CACHE_DIRECTORY: cacheDir,
    RUNTIME_DIRECTORY: '/run/burrow',
  }
  const source = { machine: { env, workingDir: '/', homeDir: '/' }, file: places.configFile }
  if (await exists(places.environment)) checkConfigWithoutEnv(source)
  else await readNamedFiles(loadConfig(source), silentLog)
}

/** The first user is created with the config. Further users must be added to it by hand. @throws {Complaint} refused */
export function requireKnownUser(text: string, name: string): void {
  const { users }: { users?: unknown } = JSON.parse(text)
  const names = Array.isArray(users) ? users.map((user: { name?: unknown } | null) => user?.name) : []
  if (names.includes(name)) return
  throw new Complaint(
    'refused',
    `Cannot add user "${name}": --user names the first user of a new config, and "${configFile}" already exists. Write a password to "${credentialsDir}/password-${name}", ` +
      `add {"name": "${name}", "passwordFile": "\${CREDENTIALS_DIRECTORY:-${credentialsDir}}/password-${name}"} to its "users", and run "burrow install-service" without --user`,
  )
}

/**
 * Whether config or credentials have changed since the running service was started: systemd keeps copies of the
 * credentials.
 */
export async function isNewerThanService(places: ConfigLocations, credentials: readonly string[]): Promise<boolean> {
  const started = await findTime(places.serviceCredentials)
  if (started === undefined) return false
  if (((await findTime(places.configFile)) ?? 0) > started) return true
  const differ = credentials.map(
    async (name) =>
      (await readText(`${places.serviceCredentials}/${name}`)) !== (await readText(`${places.credentialsDir}/${name}`)),
  )
  return (await Promise.all(differ)).includes(true)
}

async function findTime(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).mtimeMs
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return undefined
    throw error
  }
}
