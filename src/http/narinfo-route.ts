/**
 * `/<hash part>.narinfo`: text as Nix writes it, or JSON with `?json`.
 */
import { formatNarInfoJson } from '../nix/nar-info.ts'
import type { CatalogueEntry } from './catalogue.ts'
import { answerError, type Origin } from './origin.ts'
import type { Reply } from './reply.ts'

/** Never rejects. Synchronous as long as the path is leased already, so that the hot case costs no promise. */
export function serveNarInfo(origin: Origin, reply: Reply, hashPart: string, form: 'text' | 'json' = 'text'): Promise<void> | undefined {
  reply.route = 'narinfo'
  const entry = findOrAnswer(origin, reply, hashPart)
  if (entry === undefined) return undefined
  const { leases } = origin.store
  if (!leases.covers(entry.info.storePath)) return leaseAndSend(origin, reply, hashPart, entry, form)
  send(reply, entry, form)
  return undefined
}

/** The client will ask for the NAR next: it must outlive a garbage collection until then. The lease may have come too late: look again. */
async function leaseAndSend(origin: Origin, reply: Reply, hashPart: string, { info }: CatalogueEntry, form: 'text' | 'json'): Promise<void> {
  await origin.store.leases.take(info.storePath)
  const entry = findOrAnswer(origin, reply, hashPart)
  if (entry !== undefined) send(reply, entry, form)
}

/** Undefined when there was nothing to find, and the request was answered so. */
function findOrAnswer(origin: Origin, reply: Reply, hashPart: string): CatalogueEntry | undefined {
  try {
    const entry = origin.catalogue.find(hashPart)
    if (entry === undefined) reply.refuse(404)
    return entry
  } catch (error) {
    answerError(origin.log, reply, error)
    return undefined
  }
}

function send(reply: Reply, entry: CatalogueEntry, form: 'text' | 'json'): void {
  const headers = (type: string) => ['Content-Type', type, 'Nix-Link', entry.narInfo.url]
  if (form === 'text') reply.sendPrepared(entry, 'found', () => headers('text/x-nix-narinfo'), entry.text)
  else reply.send(200, 'found', headers('application/json'), `${JSON.stringify(formatNarInfoJson(entry.narInfo))}\n`)
}
