/**
 * `/<hash part>.narinfo`: text as Nix writes it, or JSON with `?json`.
 */
import { formatNarInfoJson } from '../nix/nar-info.ts'
import type { CatalogueEntry } from './catalogue.ts'
import { answerError, type Origin } from './origin.ts'
import type { Reply } from './reply.ts'

/** Never rejects. Synchronous as long as the path is leased already, so that the hot case costs no promise. */
export function serveNarInfo(origin: Origin, reply: Reply, hashPart: string, form: 'text' | 'json' = 'text'): void | Promise<void> {
  reply.route = 'narinfo'
  const { store, catalogue } = origin
  try {
    const entry = catalogue.find(hashPart)
    if (entry === undefined) return reply.refuse(404)
    if (store.leases.covers(entry.info.storePath)) return send(reply, entry, form)
    // The client will ask for the NAR next: it must outlive a garbage collection until then. The lease may have come too late: look again.
    return store.leases.take(entry.info.storePath).then(() => {
      try {
        const leased = catalogue.find(hashPart)
        return leased === undefined ? reply.refuse(404) : send(reply, leased, form)
      } catch (error) {
        answerError(origin.log, reply, error)
      }
    })
  } catch (error) {
    answerError(origin.log, reply, error)
  }
}

function send(reply: Reply, entry: CatalogueEntry, form: 'text' | 'json'): void {
  const headers = (type: string) => ['Content-Type', type, 'Nix-Link', entry.narInfo.url]
  if (form === 'text') reply.sendPrepared(entry, 'found', () => headers('text/x-nix-narinfo'), entry.text)
  else reply.send(200, 'found', headers('application/json'), `${JSON.stringify(formatNarInfoJson(entry.narInfo))}\n`)
}
