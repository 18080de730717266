/**
 * Through the public host name and back: as a stranger, as a user, and as a stranger again for what the user was given.
 * The first trouble on the way ends it, since everything after it would only be its echo. No redirect is followed.
 */
import type { HttpAnswer } from '../server/http-get.ts'
import { printable } from '../terminal/format.ts'
import { type Ask, findStoreDir, type Login } from './asking.ts'
import { toConnectionTrouble } from './connection-failure.ts'
import { type Findings, fail, ok, type Trouble, toFinding, warn } from './finding.ts'
import { findForeignReply, realmOf } from './foreign-reply.ts'
import { checkAbsent, checkCopies, checkObject, type Given, otherMachine, type Trip } from './public-contents.ts'
import { findAlteration, findCachedCopy, findUnavailability } from './reply-faults.ts'
import { textOf } from './reply-text.ts'
import type { Sample } from './sample.ts'

export interface PublicOptions {
  /** As clients write it. */
  readonly url: URL
  readonly ask: Ask
  /** undefined: the config is not known. */
  readonly isPublic: boolean | undefined
  /** A user, or why there is none to try. */
  readonly login: Login | { readonly missing: string }
  readonly storeDir: string | undefined
  /** As configured; undefined: not known. */
  readonly publicKeys: readonly string[] | undefined
  readonly sample: Sample | undefined
}

export async function* checkPublic(options: PublicOptions): Findings {
  const { url, isPublic, login } = options
  const trip = createTrip(options)
  const first = yield* trip.go('/nix-cache-info')
  if (first === undefined) return
  if (isPublic === true) {
    if (first.status !== 200) return yield toFinding('fail', 'public host', refusesStrangers(first))
    return yield* checkAsUser(options, trip, undefined)
  }
  if (first.status === 401) yield ok('public host', `${url.host} leads to Burrow, which asks strangers for a password`)
  else yield toFinding(isPublic === undefined ? 'warn' : 'fail', 'public host', servesStrangers(first))
  if ('missing' in login)
    return yield warn(
      'password',
      `not tried with a password: ${login.missing}`,
      'name a user with --user and a file with the password with --password-file',
    )
  if (url.protocol !== 'https:' && !isLoopback(url))
    return yield fail('public host', 'clients reach it by plain http, and no password is sent that way', 'use https')
  if (realmOf(first.headers) === 'burrow') yield* checkAsUser(options, trip, login)
}

/** 127.0.0.1 and its like. */
export function isLoopback({ hostname }: URL): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(?:\.\d{1,3}){3}$/.test(hostname)
}

function servesStrangers(reply: HttpAnswer): Trouble {
  if (reply.status >= 300)
    return {
      fault: 'wrong-content',
      what: `strangers get ${reply.status} for /nix-cache-info, and not 401`,
      remedy: 'see what else answers there',
    }
  const what = `strangers are served without a password (${reply.status})`
  const remedy =
    'if the config has changed, restart Burrow; else another Burrow, or something that adds a password, answers there'
  return { fault: 'unprotected', what, remedy }
}

function refusesStrangers({ status }: HttpAnswer): Trouble {
  return {
    fault: 'foreign-401',
    what: `strangers are refused (${status}) although the cache is public`,
    remedy: 'if the config has changed, restart Burrow; else another Burrow answers there',
  }
}

/**
 * Tells each kind of alteration once. A copy from a cache is no answer: even a 401 that was kept for a stranger would
 * be taken for the user's.
 */
function createTrip({ url, ask, isPublic }: PublicOptions): Trip {
  const told = new Set<string>()
  return {
    async *go(path, question) {
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
      if (alteration !== undefined && !told.has(alteration.fault)) yield toFinding('warn', 'public host', alteration)
      if (alteration !== undefined) told.add(alteration.fault)
      return reply
    },
  }
}

async function* checkAsUser(options: PublicOptions, trip: Trip, login: Login | undefined): Findings {
  const { url, storeDir, sample } = options
  const info = yield* trip.go('/nix-cache-info', { login })
  if (info === undefined) return
  if (info.status !== 200) return yield toFinding('fail', 'password', toRefusal(info, login))
  const served = findStoreDir(info)
  if (served === undefined || (storeDir !== undefined && served !== storeDir)) {
    const what = `${url.host} answers with ${served === undefined ? 'something else than' : `the store "${printable(served, 100)}" in`} /nix-cache-info`
    return yield toFinding('fail', 'public host', {
      fault: 'wrong-content',
      what,
      remedy: 'see what else answers there: another Burrow, or a web page for every address',
    })
  }
  yield ok(
    'password',
    login === undefined ? `${url.host} serves everybody` : `"${login.name}" may pull through ${url.host}`,
  )
  if (!(yield* checkKeys(options, trip, login))) return
  const given: Given[] = [{ path: '/nix-cache-info', reply: info }]
  if (sample === undefined) yield* checkAbsent(trip, login)
  else given.push(...(yield* checkObject(trip, login, sample)))
  if (login !== undefined) yield* checkCopies(options, given)
}

function toRefusal({ status }: HttpAnswer, login: Login | undefined): Trouble {
  const who = `"${login?.name ?? 'everybody'}"`
  if (status !== 401 && status !== 403)
    return {
      fault: 'wrong-content',
      what: `/nix-cache-info is answered with ${status}`,
      remedy: 'see what else answers there',
    }
  const what = status === 401 ? `the password of ${who} is refused` : `${who} may not pull`
  const remedy =
    'if users have changed, reload Burrow (systemctl reload burrow), or restart it if a password file has changed; else another Burrow with other users answers there (a second connector of the same tunnel)'
  return { fault: 'password-refused', what, remedy }
}

async function* checkKeys({ publicKeys }: PublicOptions, trip: Trip, login: Login | undefined): Findings<boolean> {
  const reply = yield* trip.go('/v1/public-key', { login })
  if (reply === undefined) return false
  if (publicKeys === undefined) return true
  const served = textOf(reply)
    .split('\n')
    .filter((line) => line !== '')
  if (reply.status === 200 && served.length === publicKeys.length && publicKeys.every((key) => served.includes(key))) {
    yield ok(
      'public key',
      publicKeys.length === 0 ? 'none, as configured' : `the one that is configured: ${publicKeys.join(' ')}`,
    )
    return true
  }
  const shown = reply.status === 200 ? `"${printable(served.join(' '), 200)}"` : `status ${reply.status}`
  const what = `the key served is ${shown}, and not the configured "${publicKeys.join(' ')}"`
  yield toFinding('fail', 'public key', { fault: 'wrong-key', what, remedy: otherMachine })
  return false
}
