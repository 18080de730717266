/**
 * `/path/<hash part>`: a store path, and `/path/<hash part>/files?in=<directory>`: its files. The first part of the page
 * is sent at once; its closure and its files, which take time, follow when they are known.
 */
import type { Router } from 'express'

import { nameOf, parseHashPart } from '../../nix/store-path.ts'
import type { CatalogueEntry } from '../narinfo/catalogue.ts'
import { htmlType, pageHeaders, renderEnd, renderHead } from '../pages/document.ts'
import { type Html, html } from '../pages/html.ts'
import { measureClosure } from '../pages/path/closure.ts'
import { renderClosure } from '../pages/path/closure-part.ts'
import { renderPathFacts } from '../pages/path/path-page.ts'
import { frameOf } from '../pages/send-page.ts'
import type { Site } from '../pages/site.ts'
import { createQueue, enqueue } from '../queue/enqueue.ts'
import type { Reply } from '../reply.ts'
import { replyOf } from '../reply-of.ts'
import { createRouter } from '../router.ts'
import { findKeeping, gatherFacts } from './path-facts.ts'
import { findFiles, sendFiles } from './path-files.ts'

/** Closures measured and listings read at once: each takes the time of hundreds of small requests. */
const maxPages = 4
const maxWaiting = 64

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
