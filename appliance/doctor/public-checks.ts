/**
 * Through the public host name and back: as a stranger, as a user, and as a stranger again for what the user was given.
 * The first trouble on the way ends it, since everything after it would only be its echo. No redirect is followed.
 */
import type { HttpAnswer } from '../http-get.ts'
import { printable } from '../in-words.ts'
import { type Ask, findStoreDir, type Login, type Question } from './asking.ts'
import { findAlteration, findCachedCopy, findPostponement, findStranger, realmOf, toTrouble } from './classify.ts'
import { type Finding, type Findings, fail, ok, type Trouble, toFinding, warn } from './finding.ts'
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

/** What the user was given. */
interface Given {
  readonly path: string
  readonly reply: HttpAnswer
}

/** No store object has it. */
const absentHashPart = '0'.repeat(32)
const leakRemedy = 'remove the cache rule for this host name and purge its cache; change what was secret in these paths'

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
    return yield warn('password', `not tried with a password: ${login.missing}`, 'name a user with --user and a file with the password with --password-file')
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
    return { fault: 'wrong-content', what: `strangers get ${reply.status} for /nix-cache-info, and not 401`, remedy: 'see what else answers there' }
  const what = `strangers are served without a password (${reply.status})`
  const remedy = 'if the config has changed, restart Burrow; else another Burrow, or something that adds a password, answers there'
  return { fault: 'unprotected', what, remedy }
}

function refusesStrangers({ status }: HttpAnswer): Trouble {
  return {
    fault: 'foreign-401',
    what: `strangers are refused (${status}) although the cache is public`,
    remedy: 'if the config has changed, restart Burrow; else another Burrow answers there',
  }
}

interface Trip {
  /** `undefined` after a finding that ends the trip. */
  go(path: string, question?: Question): Findings<HttpAnswer | undefined>
}

/** Tells each kind of alteration once. A copy from a cache is no answer: even a 401 that was kept for a stranger would be taken for the user's. */
function createTrip({ url, ask, isPublic }: PublicOptions): Trip {
  const told = new Set<string>()
  return {
    async *go(path, question) {
      const reply = await ask(path, question)
      const trouble = reply.kind === 'failure' ? toTrouble(reply, url.hostname) : (findStranger(reply) ?? findPostponement(reply))
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
  yield ok('password', login === undefined ? `${url.host} serves everybody` : `"${login.name}" may pull through ${url.host}`)
  if (!(yield* checkKeys(options, trip, login))) return
  const given: Given[] = [{ path: '/nix-cache-info', reply: info }]
  if (sample === undefined) yield* checkAbsent(trip, login)
  else given.push(...(yield* checkObject(trip, login, sample)))
  if (login !== undefined) yield* checkCopies(options, given)
}

function toRefusal({ status }: HttpAnswer, login: Login | undefined): Trouble {
  const who = `"${login?.name ?? 'everybody'}"`
  if (status !== 401 && status !== 403)
    return { fault: 'wrong-content', what: `/nix-cache-info is answered with ${status}`, remedy: 'see what else answers there' }
  const what = status === 401 ? `the password of ${who} is refused` : `${who} may not pull`
  const remedy =
    'if users have changed, let Burrow read them again (SIGHUP); else another Burrow with other users answers there (a second connector of the same tunnel)'
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
    yield ok('public key', publicKeys.length === 0 ? 'none, as configured' : `the one that is configured: ${publicKeys.join(' ')}`)
    return true
  }
  const shown = reply.status === 200 ? `"${printable(served.join(' '), 200)}"` : `status ${reply.status}`
  const what = `the key served is ${shown}, and not the configured "${publicKeys.join(' ')}"`
  yield toFinding('fail', 'public key', { fault: 'wrong-key', what, remedy: otherMachine })
  return false
}

const otherMachine = 'end the connector of this tunnel that runs on another machine, or restart Burrow if its key has changed'

/** Without an object of its own at hand: that what is not there is missing. */
async function* checkAbsent(trip: Trip, login: Login | undefined): Findings {
  const reply = yield* trip.go(`/${absentHashPart}.narinfo`, { login })
  if (reply === undefined) return
  const { status } = reply
  const remedy = 'see what answers there for every address'
  if (status === 404) yield ok('narinfo', 'a path that is not in the store is missing, as it must be')
  else yield toFinding('fail', 'narinfo', { fault: 'wrong-content', what: `a path that no store has is answered with ${status}`, remedy })
}

async function* checkObject(trip: Trip, login: Login | undefined, sample: Sample): Findings<Given[]> {
  const path = `/${sample.hashPart}.narinfo`
  const reply = yield* trip.go(path, { login })
  if (reply === undefined) return []
  const given = [{ path, reply }]
  const text = textOf(reply)
  if (reply.status !== 200 || text !== sample.text) {
    yield toFinding('fail', 'narinfo', compareNarInfos(reply.status, text, sample))
    return given
  }
  yield ok('narinfo', `${sample.baseName} is described as on this machine, signatures included`)
  const nar = yield* trip.go(sample.narPath, { login, range: 'bytes=0-15' })
  if (nar === undefined) return given
  yield toDownloadFinding(nar)
  return [...given, { path: sample.narPath, reply: nar }]
}

function compareNarInfos(status: number, text: string, sample: Sample): Trouble {
  if (status !== 200) return { fault: 'wrong-key', what: `${sample.baseName} is answered with ${status}, and is there on this machine`, remedy: otherMachine }
  const signatures = (narInfo: string) =>
    narInfo
      .split('\n')
      .filter((line) => line.startsWith('Sig:'))
      .sort()
      .join('\n')
  if (signatures(text) !== signatures(sample.text))
    return { fault: 'wrong-key', what: `${sample.baseName} is signed otherwise than on this machine`, remedy: otherMachine }
  return { fault: 'wrong-content', what: `${sample.baseName} is described otherwise than on this machine`, remedy: otherMachine }
}

function toDownloadFinding({ status, headers, body }: HttpAnswer): Finding {
  if (status === 206 && headers['content-range'] !== undefined && body.length === 16)
    return ok('download', 'NARs come through, and cut downloads can be resumed')
  if (status === 200 && headers['content-length'] === undefined && headers['accept-ranges'] === undefined)
    return ok('download', 'NARs come through; this one was compressed on the way and has no length yet')
  if (status === 200)
    return toFinding('warn', 'download', {
      fault: 'altered',
      what: 'ranges are not honoured through the tunnel, so cut downloads begin again',
      remedy: 'look for cache and transform rules of the zone for this host name',
    })
  return toFinding('fail', 'download', { fault: 'wrong-content', what: `a NAR is answered with ${status}`, remedy: 'look at the log of Burrow' })
}

/** What the user was given must not be there for strangers. */
async function* checkCopies({ ask, url }: PublicOptions, given: readonly Given[]): Findings {
  const copy = given.map(({ reply }) => findCachedCopy(reply)).find((found) => found !== undefined)
  if (copy !== undefined) yield toFinding(copy.grade, 'edge cache', copy.trouble)
  for (const { path } of given) {
    const reply = await ask(path)
    if (reply.kind === 'failure') return yield toFinding('fail', 'edge cache', toTrouble(reply, url.hostname))
    if (reply.status === 401 && realmOf(reply.headers) === 'burrow') continue
    const shown = printable(path, 100)
    const what =
      reply.status < 300
        ? `strangers get "${shown}" after a user has fetched it (${reply.status})`
        : `strangers get ${reply.status} for "${shown}" instead of 401`
    return yield toFinding('fail', 'edge cache', { fault: 'cached-private-reply', what, remedy: leakRemedy })
  }
  if (copy === undefined) yield ok('edge cache', 'what a user was given is not kept for strangers')
}
