/** `burrow init`: writes a first config with one user, and creates a signing key. */
import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { Command } from 'commander'

import { silentLog } from '../../src/index.ts'
import { Complaint, reasonOf } from '../complaint.ts'
import { parseListenAddress } from '../config/listen-address.ts'
import { resolveConfig } from '../config/resolve.ts'
import { configSchema } from '../config/schema.ts'
import type { Machine } from '../machine.ts'
import { urlOf } from '../server/listener.ts'
import { createPrivateFile, replacePrivateFile } from '../state/private-files.ts'
import { openState } from '../state/state.ts'
import { formatClientSetup } from '../terminal/client-setup.ts'
import { ensureKey } from '../users/load-reloadable.ts'
import { createPassword } from '../users/random-text.ts'

interface InitOptions {
  readonly config?: string
  readonly user: string
  readonly listen: string
  readonly stateDir?: string
  readonly force?: boolean
}

export function initCommand(machine: Machine): Command {
  return new Command('init')
    .description(
      'write a config with one user and a random password, create a signing key, and print the client settings',
    )
    .option('--user <name>', 'name of the user', 'burrow')
    .option('--listen <address>', 'address to listen on', '127.0.0.1:8080')
    .option('--state-dir <dir>', 'directory for the key (default: the one that "serve" uses)')
    .option('--force', 'replace an existing config; an existing key is always kept')
    .addHelpText(
      'after',
      '\n  burrow init\n  burrow --config /etc/burrow/burrow.json init --user ana --state-dir /var/lib/burrow',
    )
    .action((_options, command: Command) => init(machine, command.optsWithGlobals<InitOptions>()))
}

async function init(machine: Machine, options: InitOptions): Promise<void> {
  const file = resolve(machine.workingDir, options.config ?? 'burrow.json')
  const { listen } = options
  const login = { name: options.user, password: createPassword() }
  const place = { env: machine.env, homeDir: machine.homeDir, baseDir: machine.workingDir }
  const stateDir = options.stateDir === undefined ? {} : { dir: resolve(machine.workingDir, options.stateDir) }
  const checked = configSchema.safeParse({ listen, users: [login], state: stateDir })
  if (!checked.success) throw new Complaint('usage', usageOf(options))
  const config = resolveConfig(checked.data, file, place)

  if (options.force !== true && existsSync(file)) throw alreadyThere(file)
  const state = await openState({ dir: config.state.dir, userId: machine.userId, log: silentLog })
  const { publicKey } = await ensureKey(config, state, machine.hostName, silentLog)
  await writeConfig(file, { listen, users: [login], state: { dir: config.state.dir } }, options)
  machine.stderr.write(
    `Wrote ${file} (mode 0600). The signing key is in ${state.dir}.\nStart Burrow with: burrow --config ${file} serve\n\n`,
  )
  machine.stdout.write(
    formatClientSetup({ url: urlOf(config.listen), storeDir: config.store.dir, publicKeys: [publicKey], login }),
  )
}

function usageOf({ listen, user }: InitOptions): string {
  const parsed = parseListenAddress(listen)
  if ('refusal' in parsed) return `Cannot use --listen "${listen}": it ${parsed.refusal}`
  return `Cannot use --user "${user}": a name must not be empty or contain colons or control characters`
}

async function writeConfig(file: string, content: object, { force }: InitOptions): Promise<void> {
  const text = `${JSON.stringify(content, null, 2)}\n`
  try {
    await mkdir(dirname(file), { recursive: true })
    if (force === true) return await replacePrivateFile(file, text)
    if (!(await createPrivateFile(file, text))) throw alreadyThere(file)
  } catch (error) {
    if (error instanceof Complaint) throw error
    throw new Complaint('refused', `Cannot write "${file}": ${reasonOf(error)}`, { cause: error })
  }
}

function alreadyThere(file: string): Complaint {
  return new Complaint('refused', `Cannot write "${file}": it already exists; use --force to replace it`)
}
