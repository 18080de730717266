/**
 * The config of a new service, with its first user and its signing key. Secrets are in separate files, which systemd
 * passes to the service as credentials.
 */
import { formatSecretKey, generateSecretKey, parseSecretKey } from '../../src/index.ts'
import { Complaint } from '../complaint.ts'
import { planFile, readText } from '../plan/file-steps.ts'
import type { Step } from '../plan/plan.ts'
import type { Login } from '../terminal/client-setup.ts'
import { createKeyName, createPassword } from '../users/random-text.ts'
import { type ConfigLocations, cacheDir, configFile, credentialsDir, stateDir } from './places.ts'

export interface FirstConfigWish {
  readonly places: ConfigLocations
  readonly listen: string
  readonly userName: string
  readonly hostName: string
}

export interface FirstConfig {
  readonly steps: readonly Step[]
  readonly credentials: readonly string[]
  readonly publicKey: string
  readonly login: Login
}

const keyCredential = 'signing-key'
const operator = 'unix:/run/burrow/operator.sock'

/** In the service, the copy made by systemd; elsewhere, for "burrow client-config" as root, the file itself. */
const credential = (name: string) => `\${CREDENTIALS_DIRECTORY:-${credentialsDir}}/${name}`

/** Uses the files of an earlier, interrupted installation. @throws {Complaint} usage, refused */
export async function planFirstConfig({ places, listen, userName, hostName }: FirstConfigWish): Promise<FirstConfig> {
  if (!/^[\w][\w.-]{0,63}$/.test(userName))
    throw new Complaint(
      'usage',
      `Cannot use --user "${userName}": the name is also used for a file; use only letters, digits, "_", "." and "-"`,
    )
  const passwordCredential = `password-${userName}`
  const keyFile = `${places.credentialsDir}/${keyCredential}`
  const passwordFile = `${places.credentialsDir}/${passwordCredential}`
  const keyText = (await readText(keyFile)) ?? `${formatSecretKey(generateSecretKey(createKeyName(hostName)))}\n`
  const password = ((await readText(passwordFile)) ?? createPassword()).replace(/\r?\n$/, '')
  const config = {
    listen,
    operator,
    users: [{ name: userName, passwordFile: credential(passwordCredential), access: ['pull'] }],
    signing: { keyFiles: [credential(keyCredential)] },
    // For root's "burrow doctor" and "burrow tunnel setup", outside of the service.
    state: { dir: `\${STATE_DIRECTORY:-${stateDir}}` },
    larder: { dir: `\${CACHE_DIRECTORY:-${cacheDir}}/larder` },
  }
  return {
    steps: [
      await keepOrWrite(keyFile, keyText),
      await keepOrWrite(passwordFile, `${password}\n`),
      // Written last, because it marks the installation as complete. It contains no secret, and the service's user must
      // be able to read it.
      await planFile(places.configFile, `${JSON.stringify(config, null, 2)}\n`, 0o644),
    ],
    credentials: [keyCredential, passwordCredential],
    publicKey: publicKeyOf(keyText, keyFile),
    login: { name: userName, password },
  }
}

async function keepOrWrite(file: string, text: string): Promise<Step> {
  return (await readText(file)) === undefined ? await planFile(file, text, 0o600) : { verb: 'keep', what: file }
}

function publicKeyOf(text: string, file: string): string {
  try {
    return parseSecretKey(text).publicKey
  } catch (error) {
    throw new Complaint(
      'refused',
      `Cannot use signing key "${file}": ${(error as Error).message}; correct or remove it`,
      { cause: error },
    )
  }
}

/** The "listen" setting of an existing config; `undefined` if it is not set or contains a variable. */
export function findListen(text: string): string | undefined {
  try {
    const { listen }: { listen?: unknown } = JSON.parse(text)
    return typeof listen === 'string' && !listen.includes('$') ? listen : undefined
  } catch {
    throw new Complaint(
      'config',
      `Cannot read config "${configFile}": it is not valid JSON; run "burrow --config ${configFile} check-config"`,
    )
  }
}
