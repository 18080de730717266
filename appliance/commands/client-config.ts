/** `burrow client-config`: the settings that a client needs. */
import { Command, Option } from 'commander'

import { silentLog, type User } from '../../src/index.ts'
import { Complaint } from '../complaint.ts'
import type { Config } from '../config/config.ts'
import { type LoadedConfig, loadConfig } from '../config/load-config.ts'
import type { Machine } from '../machine.ts'
import { askOperator } from '../operator/operator-client.ts'
import { urlOf } from '../server/listener.ts'
import { findState, type State } from '../state/state.ts'
import { formatFlakeForm } from '../terminal/client-forms/flake-form.ts'
import { formatGithubForm } from '../terminal/client-forms/github-form.ts'
import { formatJsonForm } from '../terminal/client-forms/json-form.ts'
import { formatNixosForm } from '../terminal/client-forms/nixos-form.ts'
import { toSharedSetup } from '../terminal/client-forms/shared-setup.ts'
import {
  type ClientSetup,
  formatClientSetup,
  formatPushSetup,
  type Login,
  parseCacheUrl,
} from '../terminal/client-setup.ts'
import { findAddedUsers } from '../users/added-users.ts'
import { parseStateKey, readNamedFiles, toGeneratedUser } from '../users/load-reloadable.ts'
import { mergeUsers } from '../users/merge-users.ts'

interface ClientConfigOptions {
  readonly config?: string
  readonly user?: string
  readonly url?: string
  readonly push?: boolean
  readonly format: Form
}

const forms = ['text', 'nixos', 'flake', 'github', 'json'] as const

type Form = (typeof forms)[number]

export function clientConfigCommand(machine: Machine): Command {
  return new Command('client-config')
    .description('print the settings for a client: lines for nix.conf and a netrc entry')
    .option('--user <name>', 'user of the netrc entry; required if there are several users')
    .option(
      '--url <url>',
      'URL of the cache for clients (default: from "tunnel.hostname", the running Burrow, or else the listener)',
    )
    .option('--push', 'also print how to push')
    .addOption(new Option('--format <form>', 'what to print').choices(forms).default('text'))
    .addHelpText(
      'after',
      `
The forms are:
  text    lines for nix.conf and a netrc entry
  nixos   a NixOS module
  flake   "nixConfig" of a flake
  github  steps of a GitHub Actions job; with --push also the step that builds and pushes
  json    for programs

"text" and "json" contain the password, unless the config has only its hash. The other forms never do, because they are kept in Git.

  burrow client-config --user ben --url https://cache.example.org
  burrow client-config --user ci --push
  burrow client-config --user ci --push --format github --url https://cache.example.org`,
    )
    .action((_options, command: Command) => clientConfig(machine, command.optsWithGlobals<ClientConfigOptions>()))
}

async function clientConfig(machine: Machine, options: ClientConfigOptions): Promise<void> {
  const url = options.url === undefined ? undefined : parseCacheUrl(options.url)
  if (options.url !== undefined && url === undefined)
    throw new Complaint(
      'usage',
      'Cannot use --url: it must begin with http:// or https:// and must not contain a user name, password or query',
    )
  const loaded = loadConfig({ machine, file: options.config })
  const { config } = loaded
  const state = await findState({ dir: config.state.dir, userId: machine.userId, log: silentLog })
  const named = await readNamedFiles(loaded, silentLog)
  const publicKeys = (named.signing ?? [await requireStateKey(loaded, state)]).map((key) => key.publicKey)
  const base = config.access.kind === 'generated' ? await generatedUsers(state) : named.users
  const users = mergeUsers(base, await findAddedUsers(config, state))
  const user = users === undefined ? undefined : chooseUser(users, options.user)
  if (options.push === true) requirePusher(user, config)
  const setup = {
    url: url ?? findPublicUrl(config) ?? (await findRunningUrl(config)) ?? urlOf(config.listen),
    storeDir: config.store.dir,
    publicKeys,
    login: user && toLogin(user),
  }
  const text = formatAs(options.format, setup, options.push === true, user !== undefined && mayPush(user, config))
  // Programs and files of Nix get it byte by byte; only text for people names the command of this program.
  machine.stdout.write(options.format === 'text' ? text : Buffer.from(text))
}

function formatAs(form: Form, setup: ClientSetup, withPush: boolean, mayPush: boolean): string {
  switch (form) {
    case 'text':
      return `${formatClientSetup(setup)}${withPush ? `\n${formatPushSetup(setup)}` : ''}`
    case 'json':
      return formatJsonForm(setup, mayPush)
    case 'nixos':
      return formatNixosForm(toSharedSetup(setup, withPush))
    case 'flake':
      return formatFlakeForm(toSharedSetup(setup, withPush))
    case 'github':
      return formatGithubForm(toSharedSetup(setup, withPush))
  }
}

/** The configured host name. */
function findPublicUrl({ tunnel }: Config): string | undefined {
  return tunnel?.hostname === undefined ? undefined : `https://${tunnel.hostname}`
}

/**
 * Only the running Burrow knows the name of a quick tunnel, and an address from its command line. It is asked by a unix
 * socket only: any program of this machine could take a TCP port, and have passwords sent to itself.
 */
async function findRunningUrl({ operator }: Config): Promise<string | undefined> {
  if (operator?.address.kind !== 'unix') return undefined
  const answer = await askOperator(operator.address)
  if (answer.kind !== 'running') return undefined
  return [answer.report.publicUrl, answer.report.origin.url].map((url) => parseCacheUrl(url ?? '')).find(Boolean)
}

async function requireStateKey({ config }: LoadedConfig, state: State | undefined) {
  const found = await state?.findSecretKey()
  if (found === undefined)
    throw new Complaint(
      'refused',
      `There is no signing key in "${config.state.dir}" yet; run "burrow serve" once, or "burrow init"`,
    )
  return parseStateKey(found.text, found.file, config)
}

async function generatedUsers(state: State | undefined): Promise<User[]> {
  const user = await state?.findUser()
  return user === undefined ? [] : [toGeneratedUser(user)]
}

function chooseUser(users: readonly User[], name: string | undefined): User {
  const names = users.map((user) => user.name)
  const found = name === undefined && users.length === 1 ? users[0] : users.find((user) => user.name === name)
  if (found !== undefined) return found
  if (names.length === 0)
    throw new Complaint('refused', 'There is no user yet; run "burrow serve" once, or "burrow init"')
  if (name === undefined)
    throw new Complaint('usage', `There are several users; choose one with --user: ${names.join(', ')}`)
  throw new Complaint('refused', `There is no user "${name}"; the users are: ${names.join(', ')}`)
}

function hasPushAccess({ access }: User): boolean {
  return access.has('push') || access.has('admin')
}

function mayPush(user: User, { depot }: Config): boolean {
  return depot !== undefined && hasPushAccess(user)
}

/** @throws {Complaint} refused */
function requirePusher(user: User | undefined, { depot }: Config): void {
  if (user !== undefined && !hasPushAccess(user))
    throw new Complaint(
      'refused',
      `User "${user.name}" may not push; to allow it, set "access": ["pull", "push"] for this user in the config and reload Burrow`,
    )
  if (depot === undefined)
    throw new Complaint('refused', 'This cache does not accept pushes because it has no depot; set "depot": true')
}

function toLogin({ name, secret }: User): Login {
  return { name, password: secret.kind === 'plain' ? secret.password : undefined }
}
