/**
 * Compares what the public hostname serves with this machine's own data, and checks that the same paths stay private
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

/** Requests through the public hostname. */
export interface PublicRequests {
  /** `undefined` after a finding that ends the checks. */
  send(path: string, question?: Question): Findings<HttpAnswer | undefined>
}

/** A path that the user received, with its reply. */
export interface Received {
  readonly path: string
  readonly reply: HttpAnswer
}

/** A hash part that no store object has. */
const absentHashPart = '0'.repeat(32)
const leakRemedy =
  'remove the cache rule for this hostname and purge its cache; replace all secrets that these paths contain'

export const otherMachine =
  'stop the connector of this tunnel on the other machine, or restart Burrow if its key has changed'

/** Used if there is no sample: checks that an absent path is answered with 404. */
export async function* checkAbsent(requests: PublicRequests, login: Login | undefined): Findings {
  const reply = yield* requests.send(`/${absentHashPart}.narinfo`, { login })
  if (reply === undefined) return
  const { status } = reply
  const remedy = 'check which server answers there'
  if (status === 404) yield ok('narinfo', 'a path that is not in the store is answered with 404')
  else
    yield toFinding('fail', 'narinfo', {
      fault: 'wrong-content',
      what: `a path that does not exist is answered with ${status} instead of 404`,
      remedy,
    })
}

export async function* checkObject(
  requests: PublicRequests,
  login: Login | undefined,
  sample: Sample,
): Findings<Received[]> {
  const path = `/${sample.hashPart}.narinfo`
  const reply = yield* requests.send(path, { login })
  if (reply === undefined) return []
  const received = [{ path, reply }]
  const text = textOf(reply)
  if (reply.status !== 200 || text !== sample.text) {
    yield toFinding('fail', 'narinfo', compareNarInfos(reply.status, text, sample))
    return received
  }
  yield ok('narinfo', `${sample.baseName} is the same as on this machine, with its signatures`)
  const nar = yield* requests.send(sample.narPath, { login, range: 'bytes=0-15' })
  if (nar === undefined) return received
  yield toDownloadFinding(nar)
  return [...received, { path: sample.narPath, reply: nar }]
}

function compareNarInfos(status: number, text: string, sample: Sample): Trouble {
  if (status !== 200)
    return {
      fault: 'wrong-key',
      what: `${sample.baseName} is answered with ${status}, but this machine has it`,
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
      what: `${sample.baseName} has other signatures than on this machine`,
      remedy: otherMachine,
    }
  return {
    fault: 'wrong-content',
    what: `${sample.baseName} has another narinfo than on this machine`,
    remedy: otherMachine,
  }
}

function toDownloadFinding({ status, headers, body }: HttpAnswer): Finding {
  if (status === 206 && headers['content-range'] !== undefined && body.length === 16)
    return ok('download', 'NARs can be downloaded, and interrupted downloads can be resumed')
  if (status === 200 && headers['content-length'] === undefined && headers['accept-ranges'] === undefined)
    return ok('download', 'NARs can be downloaded; this one was compressed while it was sent and has no length yet')
  if (status === 200)
    return toFinding('warn', 'download', {
      fault: 'altered',
      what: 'range requests do not work through the tunnel, so interrupted downloads start again',
      remedy: 'check the cache and transform rules of the zone for this hostname',
    })
  return toFinding('fail', 'download', {
    fault: 'wrong-content',
    what: `a NAR is answered with ${status}`,
    remedy: 'check the log of Burrow',
  })
}

/** Requests without a password must not get what a user received. */
export async function* checkCopies(
  { ask, url }: { readonly ask: Ask; readonly url: URL },
  received: readonly Received[],
): Findings {
  const copy = received.map(({ reply }) => findCachedCopy(reply)).find((found) => found !== undefined)
  if (copy !== undefined) yield toFinding(copy.grade, 'edge cache', copy.trouble)
  for (const { path } of received) {
    const reply = await ask(path)
    if (reply.kind === 'failure') return yield toFinding('fail', 'edge cache', toConnectionTrouble(reply, url.hostname))
    if (reply.status === 401 && realmOf(reply.headers) === 'burrow') continue
    const shown = printable(path, 100)
    const what =
      reply.status < 300
        ? `"${shown}" is served without a password after a user has fetched it (${reply.status})`
        : `"${shown}" is answered with ${reply.status} instead of 401 without a password`
    return yield toFinding('fail', 'edge cache', { fault: 'cached-private-reply', what, remedy: leakRemedy })
  }
  if (copy === undefined) yield ok('edge cache', 'private replies are not cached')
}
