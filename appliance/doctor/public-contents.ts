/**
 * What is fetched through the public host name, compared with this machine's own; and what of it strangers get
 * afterwards.
 */
import type { HttpAnswer } from '../server/http-get.ts'
import { printable } from '../terminal/format.ts'
import type { Ask, Login, Question } from './asking.ts'
import { toConnectionTrouble } from './connection-failure.ts'
import { type Finding, type Findings, ok, type Trouble, toFinding } from './finding.ts'
import { realmOf } from './foreign-reply.ts'
import { findCachedCopy } from './reply-faults.ts'
import { textOf } from './reply-text.ts'
import type { Sample } from './sample.ts'

export interface Trip {
  /** `undefined` after a finding that ends the trip. */
  go(path: string, question?: Question): Findings<HttpAnswer | undefined>
}

/** What the user was given. */
export interface Given {
  readonly path: string
  readonly reply: HttpAnswer
}

/** No store object has it. */
const absentHashPart = '0'.repeat(32)
const leakRemedy = 'remove the cache rule for this host name and purge its cache; change what was secret in these paths'

export const otherMachine =
  'end the connector of this tunnel that runs on another machine, or restart Burrow if its key has changed'

/** Without an object of its own at hand: that what is not there is missing. */
export async function* checkAbsent(trip: Trip, login: Login | undefined): Findings {
  const reply = yield* trip.go(`/${absentHashPart}.narinfo`, { login })
  if (reply === undefined) return
  const { status } = reply
  const remedy = 'see what answers there for every address'
  if (status === 404) yield ok('narinfo', 'a path that is not in the store is missing, as it must be')
  else
    yield toFinding('fail', 'narinfo', {
      fault: 'wrong-content',
      what: `a path that no store has is answered with ${status}`,
      remedy,
    })
}

export async function* checkObject(trip: Trip, login: Login | undefined, sample: Sample): Findings<Given[]> {
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
  if (status !== 200)
    return {
      fault: 'wrong-key',
      what: `${sample.baseName} is answered with ${status}, and is there on this machine`,
      remedy: otherMachine,
    }
  const signatures = (narInfo: string) =>
    narInfo
      .split('\n')
      .filter((line) => line.startsWith('Sig:'))
      .sort()
      .join('\n')
  if (signatures(text) !== signatures(sample.text))
    return {
      fault: 'wrong-key',
      what: `${sample.baseName} is signed otherwise than on this machine`,
      remedy: otherMachine,
    }
  return {
    fault: 'wrong-content',
    what: `${sample.baseName} is described otherwise than on this machine`,
    remedy: otherMachine,
  }
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
  return toFinding('fail', 'download', {
    fault: 'wrong-content',
    what: `a NAR is answered with ${status}`,
    remedy: 'look at the log of Burrow',
  })
}

/** What the user was given must not be there for strangers. */
export async function* checkCopies(
  { ask, url }: { readonly ask: Ask; readonly url: URL },
  given: readonly Given[],
): Findings {
  const copy = given.map(({ reply }) => findCachedCopy(reply)).find((found) => found !== undefined)
  if (copy !== undefined) yield toFinding(copy.grade, 'edge cache', copy.trouble)
  for (const { path } of given) {
    const reply = await ask(path)
    if (reply.kind === 'failure') return yield toFinding('fail', 'edge cache', toConnectionTrouble(reply, url.hostname))
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
