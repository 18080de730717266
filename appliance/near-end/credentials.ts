/**
 * Finds the URL of the cache and the login. A password is never accepted on the command line or in a URL, where other
 * users of the machine could see it.
 *
 *   URL          --to, else $BURROW_URL, else "url" in ~/.config/burrow/client.json (which "burrow use" writes)
 *   login        --netrc-file, else $BURROW_USER and $BURROW_PASSWORD_FILE, else $NETRC, else the netrc-file of nix.conf, else ~/.netrc
 */
import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'

import { formatBasicAuthorization } from '../../src/index.ts'
import { Complaint, reasonOf, systemCodeOf } from '../complaint.ts'
import type { Machine } from '../machine.ts'
import { findLogin, type NetrcLogin } from './netrc.ts'
import { findNixSetting } from './nix-settings.ts'

export interface FarEndLocation {
  readonly url: URL
  /** The `Authorization` header; undefined when no login was found. */
  readonly authorization: string | undefined
  readonly user: string | undefined
  /** Where the login was found, or all places that were searched. For messages. */
  readonly source: string
}

export interface LocateOptions {
  readonly to?: string | undefined
  readonly netrcFile?: string | undefined
}

/** Rejects with a Complaint if no URL is known, or if a file given by the user cannot be read. */
export async function locateFarEnd(machine: Machine, options: LocateOptions): Promise<FarEndLocation> {
  const url = await findUrl(machine, options.to)
  const { login, source } = await findCredentials(machine, options, url.hostname.replace(/^\[|\]$/g, ''))
  const authorization = login && formatBasicAuthorization({ name: login.login, password: login.password })
  return { url, authorization, user: login?.login, source }
}

export function clientFileOf({ env, homeDir }: Machine): string {
  const configHome = env.XDG_CONFIG_HOME?.startsWith('/') === true ? env.XDG_CONFIG_HOME : join(homeDir, '.config')
  return join(configHome, 'burrow', 'client.json')
}

async function findUrl(machine: Machine, to: string | undefined): Promise<URL> {
  const file = clientFileOf(machine)
  const [text, source] =
    to !== undefined
      ? [to, '--to']
      : machine.env.BURROW_URL
        ? [machine.env.BURROW_URL, '$BURROW_URL']
        : [await readClientUrl(file), `"url" in "${file}"`]
  if (text === undefined) {
    throw new Complaint(
      'usage',
      `No cache is set; give its URL with --to https://cache.example.org or $BURROW_URL, or run "burrow use https://…" once`,
    )
  }
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol))
    throw new Complaint('usage', `Cannot use ${source}: it must begin with http:// or https://`)
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    throw new Complaint(
      'usage',
      `Cannot use ${source}: it must not contain a user name, password or query; put the login into a netrc file`,
    )
  }
  return url
}

async function readClientUrl(file: string): Promise<string | undefined> {
  const text = await readOptional(file)
  if (text === undefined) return undefined
  try {
    const { url } = JSON.parse(text) as { url?: unknown }
    if (typeof url === 'string') return url
  } catch {
    // The error is thrown below.
  }
  throw new Complaint(
    'config',
    `Cannot read "${file}": it must have the form {"url": "https://…"}; run "burrow use https://…" to write it again`,
  )
}

async function findCredentials(
  machine: Machine,
  { netrcFile }: LocateOptions,
  hostname: string,
): Promise<{ login: NetrcLogin | undefined; source: string }> {
  const { env, homeDir, workingDir } = machine
  if (netrcFile !== undefined) return await fromNetrc(resolve(workingDir, netrcFile), hostname, true)
  if (env.BURROW_USER !== undefined && env.BURROW_PASSWORD_FILE !== undefined) {
    const password = (await readNamed(env.BURROW_PASSWORD_FILE)).replace(/\r?\n$/, '')
    return { login: { login: env.BURROW_USER, password }, source: '$BURROW_USER' }
  }
  const candidates = [
    env.NETRC,
    await findNixSetting(machine, 'netrc-file'),
    '/etc/nix/netrc',
    join(homeDir, '.netrc'),
  ].filter((file) => file !== undefined)
  const looked = [...new Set(candidates)]
  for (const file of looked) {
    const found = await fromNetrc(file, hostname, false)
    if (found.login !== undefined) return found
  }
  return { login: undefined, source: looked.map((file) => `"${file}"`).join(', ') }
}

async function fromNetrc(
  file: string,
  hostname: string,
  isNamed: boolean,
): Promise<{ login: NetrcLogin | undefined; source: string }> {
  const text = isNamed ? await readNamed(file) : await readOptional(file)
  return { login: text === undefined ? undefined : findLogin(text, hostname), source: `"${file}"` }
}

async function readNamed(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    throw new Complaint('config', `Cannot read "${file}": ${reasonOf(error)}`, { cause: error })
  }
}

/** A file that this user may not read counts as missing. */
async function readOptional(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if (['ENOENT', 'EACCES', 'ENOTDIR'].includes(systemCodeOf(error) ?? '')) return undefined
    throw new Complaint('config', `Cannot read "${file}": ${reasonOf(error)}`, { cause: error })
  }
}
