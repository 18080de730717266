/** `burrow use`: configures this machine or user to pull from a cache, and to push to it. */
import { resolve } from 'node:path'
import { Command, Option } from 'commander'

import { type FarEnd, formatBasicAuthorization, PushFault } from '../../src/index.ts'
import { Complaint } from '../complaint.ts'
import type { Machine } from '../machine.ts'
import type { NetrcLogin } from '../near-end/netrc.ts'
import { findNixStore } from '../near-end/nix-store.ts'
import { openFarEnd, retryNote, toComplaint } from '../near-end/open-push.ts'
import { findCacheLogin } from '../near-end/use/cache-login.ts'
import { parseInvitationLink } from '../near-end/use/invitation.ts'
import { planRemove } from '../near-end/use/remove-plan.ts'
import { runUse } from '../near-end/use/run-use.ts'
import { isSystemdRunning } from '../near-end/use/unit-steps.ts'
import { useInvitation } from '../near-end/use/use-invitation.ts'
import { planUse } from '../near-end/use/use-plan.ts'
import { parseCacheUrl } from '../terminal/client-setup.ts'

interface UseFlags {
  readonly user?: string
  readonly passwordFile?: string
  readonly push?: boolean
  readonly relay?: boolean
  readonly remove?: boolean
  readonly print?: boolean
  readonly root?: string
}

export function useCommand(machine: Machine): Command {
  return new Command('use')
    .description('configure this machine (as root) or this user to use a cache: nix.conf, netrc, keys')
    .argument('<url>', 'URL of the cache, like https://cache.example.org, or the link of an invitation')
    .addOption(new Option('--user <name>', 'user name at the cache; without this option the cache is public'))
    .option(
      '--password-file <file>',
      'file with the password (default: prompt at the terminal, or a line of standard input)',
    )
    .option('--push', 'push what Nix builds on this machine: a post-build hook and a systemd unit; needs root')
    .option(
      '--relay',
      'run "burrow relay" on this machine with systemd units; with --push it also pushes new store paths',
    )
    .addOption(
      new Option('--remove', 'remove what "burrow use" wrote for this cache').conflicts(['push', 'relay', 'print']),
    )
    .option('--print', 'print the files without the password, and write nothing')
    .option('--root <dir>', 'write under this directory, to build an image; systemd is not reloaded')
    .addHelpText(
      'after',
      `
With the link of an invitation, it accepts the invitation, which works once, and uses the account that this makes.
The keys are fetched from the cache with the same login. As root, it writes /etc/nix/nix.conf and Nix's netrc file, for all users of the machine. As another user, it
writes the files in ~/.config/nix, which Nix uses only for trusted users. Other lines of these files are kept; its own lines are replaced when you run it again.
A setting that nix.conf already contains is kept. Restart the nix-daemon afterwards. "burrow push", "pin" and "watch-store" use the same URL from then on.

With --relay, Nix uses http://127.0.0.1:8078 as a cache, without a login. The units burrow-relay.socket and burrow-relay.service run "burrow relay": system units as root,
user units (systemctl --user) otherwise. A machine has one relay, for one cache.

Exit codes: 0 done · 1 a file in the way · 2 usage · 75 the cache cannot be reached · 77 wrong login, or with --push no permission to push ·
78 a file given on the command line cannot be read

  burrow use https://cache.example.org --user ben
  burrow use https://cache.example.org/join/…
  burrow use https://cache.example.org --user ben --relay
  burrow use https://cache.example.org --user ci --push --password-file /run/secrets/cache`,
    )
    .action((url: string, _options, command: Command) => use(machine, url, command.optsWithGlobals<UseFlags>()))
}

async function use(machine: Machine, urlText: string, flags: UseFlags): Promise<void> {
  const invitation = parseInvitationLink(urlText)
  const url = invitation?.url ?? parseCacheUrl(urlText)
  if (url === undefined)
    throw new Complaint(
      'usage',
      'Cannot use this URL: it must begin with http:// or https:// and must not contain a user name, password or query',
    )
  if (flags.push === true && flags.relay !== true && machine.userId !== 0) {
    throw new Complaint(
      'usage',
      '--push needs root, because the nix-daemon runs the hook. Without root, add --relay, or run "burrow watch-store", which need no hook',
    )
  }
  const root = resolve(machine.workingDir, flags.root ?? '/')
  const isRunning = root === '/' && isSystemdRunning(machine)
  if (flags.remove === true) return await runUse(machine, await planRemove(machine, { url, root, isRunning }))
  const wish = { url, withPush: flags.push === true, withRelay: flags.relay === true, root, isRunning }
  if (invitation !== undefined) {
    if (flags.user !== undefined || flags.passwordFile !== undefined)
      throw new Complaint(
        'usage',
        'Leave out --user and --password-file: an invitation makes the user and the password',
      )
    return await useInvitation(machine, invitation, { wish, isPrinted: flags.print === true })
  }
  const login =
    flags.user === undefined ? undefined : await findCacheLogin(machine, url, flags.user, root, flags.passwordFile)
  const publicKeys = await askCache(machine, url, login, flags.push === true)
  const { steps, texts } = await planUse(machine, { ...wish, login, publicKeys })
  if (flags.print === true)
    return void machine.stdout.write(texts.map(({ file, text }) => `# ${file}\n${text}`).join('\n'))
  await runUse(machine, steps)
  if (publicKeys.length === 0)
    machine.stdout.write(
      'Note: this cache does not sign paths. Add the keys of those who signed them to "trusted-public-keys".\n',
    )
}

/** Checks the login, and returns the public keys of the cache. */
async function askCache(
  machine: Machine,
  url: string,
  login: NetrcLogin | undefined,
  withPush: boolean,
): Promise<string[]> {
  const authorization = login && formatBasicAuthorization({ name: login.login, password: login.password })
  const onRetry = (reason: string, waitMs: number) => machine.stderr.write(`${retryNote(url, reason, waitMs)}\n`)
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
      throw new Complaint(
        'refused',
        `${url} does not publish its public keys (HTTP ${reply.status}); is it a Burrow cache?`,
      )
    return keys
  } catch (error) {
    // No netrc file is read here.
    if (error instanceof PushFault && error.code === 'unauthorized')
      throw new Complaint(
        'unauthorized',
        login === undefined
          ? `${url} asks for a login: name the user with --user`
          : `${url} rejected the user name or password: check --user "${login.login}" and its password`,
        { cause: error },
      )
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
    throw new Complaint(
      'rejected',
      `${farEnd.url} is a cache for "${storeDir}", but the store of this machine is "${dir}"`,
    )
}
