/**
 * `POST /v1/closure`: the narinfos of some paths and of everything they refer to, in one reply, for a relay at the near
 * end. See src/relay/protocol.ts for its form. It says no more than as many requests for narinfos would.
 */
import { once } from 'node:events'
import { Writable } from 'node:stream'
import { constants, createGzip } from 'node:zlib'

import type { Router } from 'express'
import * as z from 'zod'

import { isWorthTrying, minNarBytes } from '../../delta/worth.ts'
import { Fault } from '../../faults.ts'
import type { Larder } from '../../larder/larder.ts'
import type { PathInfo } from '../../nix/path-info.ts'
import { hashPartOf, nameOf, parseHashPart } from '../../nix/store-path.ts'
import {
  type Base,
  type ClosureLine,
  type ClosureRequest,
  maxBases,
  maxClosureNarInfos,
  maxClosureRoots,
} from '../../relay/protocol.ts'
import type { CatalogueEntry } from '../narinfo/catalogue.ts'
import { answerError, type Origin } from '../origin.ts'
import { refuseUpload } from '../push/refusals.ts'
import { readWhole } from '../push/request-body.ts'
import { createQueue, enqueue } from '../queue/enqueue.ts'
import type { Reply } from '../reply.ts'
import { replyOf } from '../reply-of.ts'
import { createRouter } from '../router.ts'
import { formatDeltaUrl } from '../target.ts'
import type { VersionIndex } from './version-index.ts'

const maxRequestBytes = 64 * 1024
/** Narinfos at a time: each may have to be looked up and signed, and other requests must not wait for thousands. */
const sliceLength = 16
const maxQuestions = 8
const maxWaiting = 512

const closureRequest: z.ZodType<ClosureRequest> = z.object({
  roots: z
    .array(z.string().refine((text) => parseHashPart(text) !== undefined))
    .min(1)
    .max(maxClosureRoots),
  bases: z.boolean().optional(),
})

export function closureRoute(origin: Origin, versions: VersionIndex): Router {
  const queue = createQueue(maxQuestions, maxWaiting)
  return createRouter().post('/v1/closure', async (request) => {
    const reply = replyOf(request)
    reply.route = 'closure'
    reply.uploaded()
    const body = await readWhole(request, maxRequestBytes)
    const wanted = body === undefined ? undefined : parse(body)
    if (wanted === undefined)
      return refuseUpload(reply, 400, 'This is no question for a closure: {"roots": ["<hash part>", …]}')
    await enqueue(origin, reply, queue, () => answer(origin, versions, reply, wanted))
  })
}

function parse(body: Buffer): ClosureRequest | undefined {
  try {
    return closureRequest.safeParse(JSON.parse(body.toString('utf8'))).data
  } catch {
    return undefined
  }
}

async function answer(origin: Origin, versions: VersionIndex, reply: Reply, wanted: ClosureRequest): Promise<void> {
  const isZipped = /\bgzip\b/.test(String(reply.request.headers['accept-encoding'] ?? ''))
  const lines = readLines(origin, wanted.bases === true ? versions : undefined, wanted.roots)
  try {
    // Whether the stores can be read shows with the first lines, before the header.
    const first = await lines.next()
    reply.begin(200, 'found', [
      'Content-Type',
      'application/jsonl',
      'Vary',
      'Accept-Encoding',
      ...(isZipped ? ['Content-Encoding', 'gzip'] : []),
    ])
    await send(reply, first.value ?? '', lines, isZipped)
  } catch (error) {
    if (reply.response.headersSent) reply.break()
    if (!(error instanceof Fault && error.code === 'abandoned')) answerError(origin, reply, error)
  }
}

async function send(reply: Reply, first: string, lines: AsyncIterator<string>, isZipped: boolean): Promise<void> {
  const { response } = reply
  const counted = new Writable({
    write(chunk: Buffer, _encoding, done) {
      reply.bytes += chunk.length
      if (response.write(chunk)) done()
      else response.once('drain', done)
    },
    final: (done) => void response.end(done),
  })
  const gzip = isZipped ? createGzip({ level: constants.Z_BEST_SPEED }) : undefined
  gzip?.pipe(counted)
  const output = gzip ?? counted
  const gone = () => output.destroy(new Fault('abandoned', 'The client closed the connection'))
  output.on('error', () => {})
  response.once('close', gone)
  try {
    for (let text: string | undefined = first; text !== undefined; ) {
      if (response.destroyed) throw new Fault('abandoned', 'The client closed the connection')
      if (!output.write(text)) await Promise.race([once(output, 'drain'), once(response, 'close')])
      // What Nix waits for leaves at once; the rest may fill blocks.
      if (text === first) gzip?.flush(constants.Z_SYNC_FLUSH)
      const next: IteratorResult<string> = await lines.next()
      text = next.done === true ? undefined : next.value
    }
    output.end()
    await once(counted, 'finish')
  } finally {
    response.off('close', gone)
  }
}

/** The roots in the first piece, then level by level, some lines in each piece. */
async function* readLines(
  origin: Origin,
  versions: VersionIndex | undefined,
  roots: readonly string[],
): AsyncGenerator<string> {
  await versions?.update()
  const seen = new Set(roots)
  let level = [...seen]
  let count = 0
  for (let isRoot = true; level.length > 0; isRoot = false) {
    const next: string[] = []
    for (let at = 0; at < level.length; at += isRoot ? level.length : sliceLength) {
      const slice = level.slice(at, at + (isRoot ? level.length : sliceLength))
      const lines: ClosureLine[] = []
      for (const hashPart of slice) {
        const entry = count < maxClosureNarInfos ? await findLeased(origin, hashPart) : undefined
        if (entry === undefined) {
          if (isRoot) lines.push({ absent: hashPart })
          continue
        }
        count++
        const bases = versions === undefined ? [] : await findBases(origin, versions, entry)
        lines.push({ narInfo: entry.text, ...(bases.length > 0 && { bases }) })
        for (const reference of entry.narInfo.references) {
          const referenced = hashPartOf(reference)
          if (!seen.has(referenced)) {
            seen.add(referenced)
            next.push(referenced)
          }
        }
      }
      if (lines.length > 0) yield format(lines)
      await new Promise((resolve) => setImmediate(resolve))
    }
    if (count >= maxClosureNarInfos) break
    level = next
  }
  yield format([{ end: { isWhole: count < maxClosureNarInfos } }])
}

const format = (lines: readonly ClosureLine[]) => lines.map((line) => `${JSON.stringify(line)}\n`).join('')

/** As a narinfo that was asked for by itself: the NAR is going to be asked for next. */
async function findLeased({ catalogue }: Origin, hashPart: string): Promise<CatalogueEntry | undefined> {
  const entry = await catalogue.find(hashPart)
  if (entry === undefined) return undefined
  const { info, store } = entry.object
  if (store.leases.covers(info.storePath)) return entry
  await store.leases.take(info.storePath)
  return await catalogue.find(hashPart)
}

async function findBases(origin: Origin, versions: VersionIndex, { object }: CatalogueEntry): Promise<Base[]> {
  const { larder, catalogue } = origin
  const bases: Base[] = []
  if (larder?.deltaRecipe(object.info.narHash) === undefined || object.info.narSize < minNarBytes) return bases
  for (const hashPart of versions.find(object.info.storePath)) {
    if (bases.length === maxBases) break
    const base = (await catalogue.findObject(hashPart))?.info
    if (base === undefined || base.narHash === object.info.narHash) continue
    if (isWorthTrying(toCandidate(base), toCandidate(object.info)))
      bases.push(toBase(larder, object.info, hashPart, base))
  }
  return bases
}

const toCandidate = ({ storePath, narSize }: PathInfo) => ({ name: nameOf(storePath), narSize })

function toBase(larder: Larder, target: PathInfo, hashPart: string, { narHash, narSize }: PathInfo): Base {
  const recipe = larder.deltaRecipe(narHash)!
  const kept = larder.findKept(target.narHash, recipe)
  return {
    hashPart,
    narHash,
    narSize,
    url: formatDeltaUrl(hashPartOf(target.storePath), target.narHash, hashPart, recipe),
    ...(kept && { deltaSize: kept.fileSize }),
  }
}
