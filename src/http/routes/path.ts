/**
 * `/path/<hash part>`: a store path, and `/path/<hash part>/files?in=<directory>`: its files. The first part of the page
 * is sent at once; its closure and its files, which take time, follow when they are known.
 */
import type { Router } from 'express'

import { Fault } from '../../faults.ts'
import { ignoreLate } from '../../ignore-late.ts'
import type { NarListing } from '../../nar/listing.ts'
import { baseNameOf, hashPartOf, nameOf, parseHashPart } from '../../nix/store-path.ts'
import type { StoreObject } from '../../store/store.ts'
import { shownOriginOf } from '../auth/client-address.ts'
import type { CatalogueEntry } from '../narinfo/catalogue.ts'
import { withdrawIfCondemned } from '../origin.ts'
import { htmlType, pageHeaders, renderEnd, renderHead } from '../pages/document.ts'
import { type Html, html } from '../pages/html.ts'
import { measureClosure } from '../pages/path/closure.ts'
import { renderClosure } from '../pages/path/closure-part.ts'
import { findEntry, parseListing, renderFiles } from '../pages/path/files.ts'
import { renderKeeping } from '../pages/path/keeping.ts'
import { type PathEvent, type PathFacts, renderPathFacts } from '../pages/path/path-page.ts'
import { frameOf, sendPage } from '../pages/send-page.ts'
import type { Site } from '../pages/site.ts'
import { createQueue, enqueue } from '../queue/enqueue.ts'
import type { Reply } from '../reply.ts'
import { replyOf } from '../reply-of.ts'
import { createRouter } from '../router.ts'

/** Closures measured and listings read at once: each takes the time of hundreds of small requests. */
const maxPages = 4
const maxWaiting = 64
/** A listing of a NAR that must be decompressed for it. */
const maxUnpackedBytes = 256 * 1024 * 1024
/** Parsed at once, in some 10 ms. */
const maxListingBytes = 4 * 1024 * 1024
const maxReferrers = 100
const maxEvents = 8
/** Downloads are counted over this time, or as long as they are kept. */
const usageDays = 90

export function pathRoute(site: Site): Router {
  const queue = createQueue(maxPages, maxWaiting)
  return createRouter()
    .get('/path/:hashPart', async (request) => {
      const reply = replyOf(request)
      reply.route = 'page'
      const { hashPart } = request.params
      const [, part] = /^([0-9a-z]{32})-/.exec(hashPart) ?? []
      if (part !== undefined && parseHashPart(part) !== undefined)
        return reply.send(302, 'missed', ['Location', `/path/${part}`], '')
      const entry = await findEntryOf(site, reply, hashPart)
      if (entry !== undefined) await enqueue(site.origin, reply, queue, () => sendPath(site, reply, entry))
    })
    .get('/path/:hashPart/files', async (request) => {
      const reply = replyOf(request)
      reply.route = 'page'
      const { hashPart } = request.params
      const entry = await findEntryOf(site, reply, hashPart)
      const { in: inside } = request.query
      const path = typeof inside === 'string' && inside !== '' ? inside.split('/') : []
      if (entry !== undefined) await enqueue(site.origin, reply, queue, () => sendFiles(site, reply, entry, path))
    })
}

/** Answers 404 itself for a path that is absent. */
async function findEntryOf({ origin }: Site, reply: Reply, text: string): Promise<CatalogueEntry | undefined> {
  const hashPart = parseHashPart(text)
  const entry = hashPart === undefined ? undefined : await origin.catalogue.find(hashPart)
  if (entry === undefined) reply.refuse(404)
  else reply.storePath = entry.object.info.storePath
  return entry
}

async function sendPath(site: Site, reply: Reply, entry: CatalogueEntry): Promise<void> {
  const { object } = entry
  const { storePath } = object.info
  const particulars = site.particulars()
  const frame = frameOf(reply, particulars, { title: nameOf(storePath) })
  const first = renderHead(frame) + renderPathFacts(gatherFacts(site, reply, entry))
  reply.begin(200, 'missed', ['Content-Type', htmlType, ...pageHeaders])
  const { response } = reply
  if (reply.isHead) return void response.end()
  const write = (part: Html | string | undefined) => {
    const text = part?.toString() ?? ''
    response.write(text)
    reply.bytes += Buffer.byteLength(text)
  }
  write(first)
  const closure = await measureClosure(site.here, object, () => !response.destroyed)
  write(section('closure', 'Closure', renderClosure(closure, storePath)))
  write(await findKeeping(site, storePath))
  write(section('files', 'Files', await findFiles(site, object)))
  write(`</div>${renderEnd(frame)}`)
  response.end()
}

function section(id: string, title: string, body: Html): Html {
  return html`<section class="stack" aria-labelledby="${id}">
<h2 id="${id}">${title}</h2>
${body}
</section>
`
}

/** Everything that is known at once. */
function gatherFacts(site: Site, reply: Reply, { object, narInfo }: CatalogueEntry): PathFacts {
  const { storePath } = object.info
  const { publicKeys, isPublic } = site.particulars()
  const referrers = findReferrers(site, storePath)
  return {
    info: { ...narInfo, registrationTime: object.info.registrationTime },
    history: findHistory(site, storePath, isPublic),
    referrers: referrers.slice(0, maxReferrers),
    hasMoreReferrers: referrers.length > maxReferrers,
    ownKeys: new Set(publicKeys.map((key) => key.slice(0, key.indexOf(':')))),
    cacheUrl: shownOriginOf(reply.request).url,
    isPublic,
    now: new Date(),
  }
}

/** One more than are shown. Those that a store withholds are left out. */
function findReferrers({ stores, here }: Site, storePath: string): string[] {
  const found = stores.flatMap((store) => store.referrersOf?.(storePath, maxReferrers + 1) ?? [])
  return [...new Set(found)].filter((referrer) => ignoreLate(here.find(hashPartOf(referrer))) !== undefined)
}

const actions: Readonly<Record<string, string>> = {
  push: 'pushed',
  adopt: 'taken over from the Nix store',
  conflict: 'refused: other contents under this name',
  refuse: 'refused',
}

function findHistory({ depot }: Site, storePath: string, isPublic: boolean): PathEvent[] {
  if (depot === undefined) return []
  return depot.who(storePath, maxEvents).flatMap(({ at, user, action }) => {
    const what = actions[action]
    return what === undefined ? [] : [{ what, user: isPublic ? undefined : user, at: new Date(at) }]
  })
}

/** Names of users and pins are not for a public cache. */
async function findKeeping({ depot, usage, particulars }: Site, storePath: string): Promise<Html | undefined> {
  const isOurs = !particulars().isPublic
  const isKept = isOurs && depot?.find(hashPartOf(storePath))?.info.storePath === storePath
  const days = Math.min(usageDays, usage?.keepDays ?? usageDays)
  const [chain, used] = await Promise.all([
    isKept ? depot.explain(storePath) : undefined,
    isOurs ? usage?.ofPath(storePath, days) : undefined,
  ])
  return renderKeeping({
    storePath,
    chain: isKept ? (chain ?? []) : undefined,
    downloads: used && {
      count: used.downloads,
      last: used.lastAt === undefined ? undefined : new Date(used.lastAt),
      days,
    },
    now: new Date(),
  })
}

/** The listing would take too long where it must be unpacked: it is then a link. */
async function findFiles(site: Site, object: StoreObject): Promise<Html> {
  const { storePath, narSize } = object.info
  const page = `/path/${hashPartOf(storePath)}/files`
  if (object.form.kind === 'file' && narSize > 8 * 1024 * 1024) return html`<p><a href="${page}">List the files</a></p>`
  const root = await readListing(site, object)
  return typeof root === 'string' ? html`<p class="muted">${root}</p>` : renderFiles(root, nameOf(storePath), [], page)
}

async function sendFiles(site: Site, reply: Reply, { object }: CatalogueEntry, path: readonly string[]): Promise<void> {
  const { storePath } = object.info
  const root = await readListing(site, object)
  const entry = typeof root === 'string' ? root : findEntry(root, path)
  if (entry === undefined) return reply.refuse(404)
  const files =
    typeof entry === 'string'
      ? html`<p class="muted">${entry}</p>`
      : renderFiles(entry, path.at(-1) ?? nameOf(storePath), path, `/path/${hashPartOf(storePath)}/files`)
  const title = `Files of ${nameOf(storePath)}`
  const body = html`<div class="stack">
<h1>${title}</h1>
<p><a href="/path/${hashPartOf(storePath)}">${baseNameOf(storePath)}</a>${path.length > 0 && html` / <code>${path.join('/')}</code>`}</p>
${files}
</div>`
  sendPage(reply, site.particulars(), { title }, body, 'missed')
}

/** The root of the listing, or why there is none, for people. */
async function readListing({ origin }: Site, object: StoreObject): Promise<NarListing | string> {
  const { info, form, store } = object
  const tooMany = 'There are too many files to show them here.'
  if (form.kind === 'file' && info.narSize > maxUnpackedBytes) return tooMany
  const release = await store.leases.hold(info.storePath)
  try {
    const json = await (form.kind === 'tree' ? origin.packer.listJson(form.realPath) : form.list())
    return json.byteLength > maxListingBytes ? tooMany : (parseListing(json) ?? 'The files cannot be read.')
  } catch (error) {
    if (!(error instanceof Fault)) throw error
    await withdrawIfCondemned(object, error).catch(() => {})
    return 'The files cannot be read at the moment.'
  } finally {
    release()
  }
}
