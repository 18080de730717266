/** `burrow use`: this machine, or this user, pulls from a cache, and pushes to it. */
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { Command, Option } from 'commander'

import { type FarEnd, formatBasicAuthorization } from '../../src/index.ts'
import { Complaint, reasonOf } from '../complaint.ts'
import { passwordFault } from '../config/users-schema.ts'
import type { Machine } from '../machine.ts'
import { findLogin, type NetrcLogin } from '../near-end/netrc.ts'
import { findNixStore } from '../near-end/nix-store.ts'
import { openFarEnd, toComplaint } from '../near-end/open-push.ts'
import { planRemove } from '../near-end/use/remove-plan.ts'
import { isSystemdRunning } from '../near-end/use/unit-steps.ts'
import { netrcFileOf, planUse } from '../near-end/use/use-plan.ts'
import { readText } from '../plan/file-steps.ts'
import { formatStep, isChange, requireNoRefusal, runPlan, type Step } from '../plan/plan.ts'
import { hostOf, parseCacheUrl } from '../terminal/client-setup.ts'
import { printable } from '../terminal/format.ts'
import { askPassword } from '../terminal/prompts.ts'
import { readInput } from '../terminal/standard-input.ts'

interface UseFlags {
  readonly user?: string
  readonly passwordFile?: string
  readonly push?: boolean
  readonly relay?: boolean
  readonly remove?: boolean
  readonly print?: boolean
  readonly root?: string
}

const maxPasswordBytes = 4096

export function useCommand(machine: Machine): Command {
  return new Command('use')
    .description('set this machine (as root) or this user up to use a cache: nix.conf, netrc, keys')
    .argument('<url>', 'the cache, like https://cache.example.org')
    .addOption(new Option('--user <name>', 'the user there; without it the cache is taken as public'))
    .option(
      '--password-file <file>',
      'a file with the password (default: asked at the terminal, or a line of standard input)',
    )
    .option('--push', 'push what Nix builds here: a post-build hook and a systemd unit; needs root')
    .option(
      '--relay',
      'run "burrow relay" beside Nix, by systemd units; with --push it also pushes what the store gets',
    )
    .addOption(
      new Option('--remove', 'take back what "burrow use" has written for this cache').conflicts([
        'push',
        'relay',
        'print',
      ]),
    )
    .option('--print', 'print what would be written, without the password, and write nothing')
    .option('--root <dir>', 'write below this directory, as images are built, and tell systemd nothing')
    .addHelpText(
      'after',
      `
The keys come from the cache itself, by the same login. As root it writes /etc/nix/nix.conf and the netrc file of Nix, for all users of the machine; as another user
those below ~/.config/nix, which Nix follows for its trusted users alone. Lines of others stay; its own are written again when it is run again.
What is set elsewhere in nix.conf stays so. Restart the nix-daemon afterwards. The URL is kept for "burrow push", "pin" and "watch-store".

With --relay Nix gets http://127.0.0.1:8078 as a cache, without a login, and the units burrow-relay.socket and burrow-relay.service run "burrow relay": as root those of the
machine, as another user those of systemctl --user. There is one relay on a machine, for one cache.

Exit codes: 0 done · 1 a file in the way · 2 usage · 75 the cache cannot be reached · 77 wrong login, or with --push no right to push · 78 a file that is named cannot be read

  burrow use https://cache.example.org --user ben
  burrow use https://cache.example.org --user ben --relay
  burrow use https://cache.example.org --user ci --push --password-file /run/secrets/cache`,
    )
    .action((url: string, _options, command: Command) => use(machine, url, command.optsWithGlobals<UseFlags>()))
}

async function use(machine: Machine, urlText: string, flags: UseFlags): Promise<void> {
  const url = parseCacheUrl(urlText)
  if (url === undefined)
    throw new Complaint(
      'usage',
      `Cannot use this URL: it must begin with http:// or https:// and hold no name, password or query`,
    )
  if (flags.push === true && flags.relay !== true && machine.userId !== 0) {
    throw new Complaint(
      'usage',
      '--push needs root, since the nix-daemon runs the hook. As a user add --relay, which needs no hook, or run "burrow watch-store"',
    )
  }
  const root = resolve(machine.workingDir, flags.root ?? '/')
  const isRunning = root === '/' && isSystemdRunning(machine)
  if (flags.remove === true) return await run(machine, await planRemove(machine, { url, root, isRunning }))
  const login = flags.user === undefined ? undefined : await findPassword(machine, url, flags.user, root, flags)
  const publicKeys = await askCache(machine, url, login, flags.push === true)
  const { steps, texts } = await planUse(machine, {
    url,
    login,
    publicKeys,
    withPush: flags.push === true,
    withRelay: flags.relay === true,
    root,
    isRunning,
  })
  if (flags.print === true)
    return void machine.stdout.write(texts.map(({ file, text }) => `# ${file}\n${text}`).join('\n'))
  await run(machine, steps)
  if (publicKeys.length === 0)
    machine.stdout.write('Note: this cache does not sign paths itself. Trust the keys that signed them.\n')
}

async function run(machine: Machine, steps: readonly Step[]): Promise<void> {
  requireNoRefusal(steps, 'set this up')
  await runPlan(steps, (step) => void machine.stdout.write(formatStep(step)))
  if (steps.some(isChange))
    machine.stdout.write('Restart the nix-daemon, if there is one: systemctl restart nix-daemon\n')
}

async function findPassword(
  machine: Machine,
  url: string,
  user: string,
  root: string,
  { passwordFile }: UseFlags,
): Promise<NetrcLogin> {
  const password = await readPassword(machine, url, user, root, passwordFile)
  const fault = passwordFault(password)
  if (fault !== undefined) throw new Complaint('usage', `Cannot use this password: it ${fault[0]}; ${fault[1]}`)
  if (/[:\s\p{Cc}]/u.test(user)) throw new Complaint('usage', 'Cannot use this --user: it holds a colon or white space')
  return { login: user, password }
}

async function readPassword(
  machine: Machine,
  url: string,
  user: string,
  root: string,
  file: string | undefined,
): Promise<string> {
  if (file !== undefined) {
    try {
      return (await readFile(resolve(machine.workingDir, file), 'utf8')).replace(/\r?\n$/, '')
    } catch (error) {
      throw new Complaint('config', `Cannot read "${file}": ${reasonOf(error)}`, { cause: error })
    }
  }
  const isTerminal = machine.stdin.isTTY === true
  const given = isTerminal ? '' : await readGivenLine(machine)
  if (given !== '') return given
  // One that is set up already is not asked for again.
  const known = findLogin((await readText(await netrcFileOf(machine, root)).catch(() => undefined)) ?? '', hostOf(url))
  if (known?.login === user) return known.password
  if (isTerminal) return await askPassword(machine, `Password of ${printable(user)} at ${hostOf(url)}:`)
  throw new Complaint(
    'usage',
    'No password was given: name a file with --password-file, or give it as a line of standard input',
  )
}

async function readGivenLine(machine: Machine): Promise<string> {
  const text = await readInput(machine, maxPasswordBytes)
  if (text === undefined) throw new Complaint('usage', 'The password on standard input is too long')
  return text
}

/** The keys it signs with, once the login is known to be good. */
async function askCache(
  machine: Machine,
  url: string,
  login: NetrcLogin | undefined,
  withPush: boolean,
): Promise<string[]> {
  const authorization = login && formatBasicAuthorization({ name: login.login, password: login.password })
  const onRetry = (reason: string) =>
    machine.stderr.write(`No answer from ${url} (${printable(reason)}): trying again\n`)
  using farEnd = openFarEnd(
    { url: new URL(url), authorization, user: login?.login, source: '' },
    { jobs: 1, patienceMs: 20_000, onRetry },
  )
  try {
    if (withPush) await requirePush(machine, farEnd)
    const reply = await farEnd.request({ method: 'GET', path: 'v1/public-key' })
    const keys = reply.body
      .toString('utf8')
      .split('\n')
      .filter((line) => line !== '')
    if (reply.status !== 200 || !keys.every((key) => /^[^\s:]+:[A-Za-z0-9+/]{43}=$/.test(key)))
      throw new Complaint('refused', `${url} does not tell its public keys (HTTP ${reply.status}): is it a Burrow?`)
    return keys
  } catch (error) {
    throw toComplaint(error)
  }
}

async function requirePush(machine: Machine, farEnd: FarEnd): Promise<void> {
  const { access, storeDir } = await farEnd.ask<{ readonly access: readonly string[]; readonly storeDir: string }>(
    'GET',
    'v1/push',
  )
  if (!access.includes('push') && !access.includes('admin'))
    throw new Complaint('unauthorized', `This user may not push to ${farEnd.url}`)
  const { dir } = findNixStore(machine.env)
  if (storeDir !== dir)
    throw new Complaint('rejected', `${farEnd.url} is a cache for "${storeDir}", and this store is "${dir}"`)
}
