/**
 * Requests through the public hostname: without a password, as a user, and again without a password for the paths that
 * the user received. The first fault ends the checks, since it would also cause later ones. Redirects are not followed.
 */
import type { HttpAnswer } from '../server/http-get.ts'
import { printable } from '../terminal/format.ts'
import { type Ask, findStoreDir, type Login } from './asking.ts'
import { toConnectionTrouble } from './connection-failure.ts'
import { type Findings, fail, ok, type Trouble, toFinding, warn } from './finding.ts'
import { findForeignReply, realmOf } from './foreign-reply.ts'
import {
  checkAbsent,
  checkCopies,
  checkObject,
  otherMachine,
  type PublicRequests,
  type Received,
} from './public-contents.ts'
import { findAlteration, findCachedCopy, findUnavailability } from './reply-faults.ts'
import { textOf } from './reply-text.ts'
import type { Sample } from './sample.ts'

export interface PublicOptions {
  /** The URL that clients use. */
  readonly url: URL
  readonly ask: Ask
  /** `undefined` if the config is not known. */
  readonly isPublic: boolean | undefined
  /** A login to try, or why there is none. */
  readonly login: Login | { readonly missing: string }
  readonly storeDir: string | undefined
  /** As configured; `undefined` if not known. */
  readonly publicKeys: readonly string[] | undefined
  readonly sample: Sample | undefined
}

export async function* checkPublic(options: PublicOptions): Findings {
  const { url, isPublic, login } = options
  const requests = createRequests(options)
  const first = yield* requests.send('/nix-cache-info')
  if (first === undefined) return
  if (isPublic === true) {
    if (first.status !== 200) return yield toFinding('fail', 'public host', toPublicRefusal(first))
    return yield* checkAsUser(options, requests, undefined)
  }
  if (first.status === 401) yield ok('public host', `${url.host} reaches Burrow, which asks for a password`)
  else yield toFinding(isPublic === undefined ? 'warn' : 'fail', 'public host', toUnprotected(first))
  if ('missing' in login)
    return yield warn(
      'password',
      `no login was tested: ${login.missing}`,
      'set --user, and --password-file with the password of that user',
    )
  if (url.protocol !== 'https:' && !isLoopback(url))
    return yield fail('public host', 'clients use plain http; no password was sent over it', 'use https')
  if (realmOf(first.headers) === 'burrow') yield* checkAsUser(options, requests, login)
}

/** Whether the host is a loopback address. */
export function isLoopback({ hostname }: URL): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(?:\.\d{1,3}){3}$/.test(hostname)
}

function toUnprotected(reply: HttpAnswer): Trouble {
  if (reply.status >= 300)
    return {
      fault: 'wrong-content',
      what: `/nix-cache-info is answered with ${reply.status} instead of 401 without a password`,
      remedy: 'check which server answers there',
    }
  const what = `the cache is served without a password (${reply.status})`
  const remedy =
    'if the config has changed, restart Burrow; otherwise another Burrow answers there, or a proxy adds a password'
  return { fault: 'unprotected', what, remedy }
}

function toPublicRefusal({ status }: HttpAnswer): Trouble {
  return {
    fault: 'foreign-401',
    what: `requests without a password are refused (${status}), although the cache is public`,
    remedy: 'if the config has changed, restart Burrow; otherwise another Burrow answers there',
  }
}

/**
 * Reports each kind of alteration once. A reply from a cache is rejected: a cached 401 to another client would look like
 * the reply to the user.
 */
function createRequests({ url, ask, isPublic }: PublicOptions): PublicRequests {
  const reported = new Set<string>()
  return {
    async *send(path, question) {
      const reply = await ask(path, question)
      const trouble =
        reply.kind === 'failure'
          ? toConnectionTrouble(reply, url.hostname)
          : (findForeignReply(reply) ?? findUnavailability(reply))
      if (trouble !== undefined) yield toFinding('fail', 'public host', trouble)
      if (reply.kind === 'failure' || trouble !== undefined) return undefined
      const copy = isPublic === true ? undefined : findCachedCopy(reply)
      if (copy?.grade === 'fail') {
        yield toFinding('fail', 'edge cache', copy.trouble)
        return undefined
      }
      const alteration = findAlteration(reply)
      if (alteration !== undefined && !reported.has(alteration.fault))
        yield toFinding('warn', 'public host', alteration)
      if (alteration !== undefined) reported.add(alteration.fault)
      return reply
    },
  }
}

async function* checkAsUser(options: PublicOptions, requests: PublicRequests, login: Login | undefined): Findings {
  const { url, storeDir, sample } = options
  const info = yield* requests.send('/nix-cache-info', { login })
  if (info === undefined) return
  if (info.status !== 200) return yield toFinding('fail', 'password', toRefusal(info, login))
  const served = findStoreDir(info)
  if (served === undefined || (storeDir !== undefined && served !== storeDir)) {
    const what = `${url.host} answers with ${served === undefined ? 'something other than' : `the store "${printable(served, 100)}" in`} /nix-cache-info`
    return yield toFinding('fail', 'public host', {
      fault: 'wrong-content',
      what,
      remedy: 'check which server answers there: another Burrow, or one with a web page for every address',
    })
  }
  yield ok(
    'password',
    login === undefined ? `${url.host} serves all clients` : `"${login.name}" may pull through ${url.host}`,
  )
  if (!(yield* checkKeys(options, requests, login))) return
  const received: Received[] = [{ path: '/nix-cache-info', reply: info }]
  if (sample === undefined) yield* checkAbsent(requests, login)
  else received.push(...(yield* checkObject(requests, login, sample)))
  if (login !== undefined) yield* checkCopies(options, received)
}

function toRefusal({ status }: HttpAnswer, login: Login | undefined): Trouble {
  const who = `"${login?.name ?? 'anonymous'}"`
  if (status !== 401 && status !== 403)
    return {
      fault: 'wrong-content',
      what: `/nix-cache-info is answered with ${status}`,
      remedy: 'check which server answers there',
    }
  const what = status === 401 ? `the password of ${who} is refused` : `${who} may not pull`
  const remedy =
    'if users have changed, reload Burrow (systemctl reload burrow), or restart it if a password file has changed; otherwise another Burrow with other users answers there (a second connector of the same tunnel)'
  return { fault: 'password-refused', what, remedy }
}

async function* checkKeys(
  { publicKeys }: PublicOptions,
  requests: PublicRequests,
  login: Login | undefined,
): Findings<boolean> {
  const reply = yield* requests.send('/v1/public-key', { login })
  if (reply === undefined) return false
  if (publicKeys === undefined) return true
  const served = textOf(reply)
    .split('\n')
    .filter((line) => line !== '')
  if (reply.status === 200 && served.length === publicKeys.length && publicKeys.every((key) => served.includes(key))) {
    yield ok(
      'public key',
      publicKeys.length === 0 ? 'none, as configured' : `matches the config: ${publicKeys.join(' ')}`,
    )
    return true
  }
  const shown = reply.status === 200 ? `"${printable(served.join(' '), 200)}"` : `status ${reply.status}`
  const what = `the served key is ${shown}, not the configured "${publicKeys.join(' ')}"`
  yield toFinding('fail', 'public key', { fault: 'wrong-key', what, remedy: otherMachine })
  return false
}
