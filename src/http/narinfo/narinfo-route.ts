/**
 * `/<hash part>.narinfo`: text as Nix writes it, or JSON with `?json`.
 */
import { formatNarInfoJson } from '../../nix/nar-info.ts'
import { answerError, type Origin } from '../origin.ts'
import type { Reply } from '../reply.ts'
import type { CatalogueEntry } from './catalogue.ts'

/**
 * Never rejects. Synchronous if the path is in memory and already leased, so that the hot case costs no promise.
 */
export function serveNarInfo(
  origin: Origin,
  reply: Reply,
  hashPart: string,
  form: 'text' | 'json' = 'text',
): Promise<void> | undefined {
  reply.route = 'narinfo'
  try {
    const found = origin.catalogue.find(hashPart)
    if (found instanceof Promise) {
      return found.then(
        (entry) => leaseAndSend(origin, reply, hashPart, entry, form),
        (error: unknown) => answerError(origin, reply, error),
      )
    }
    return leaseAndSend(origin, reply, hashPart, found, form)
  } catch (error) {
    answerError(origin, reply, error)
    return undefined
  }
}

function leaseAndSend(
  origin: Origin,
  reply: Reply,
  hashPart: string,
  entry: CatalogueEntry | undefined,
  form: 'text' | 'json',
): Promise<void> | undefined {
  if (entry === undefined) {
    refuseAbsent(reply, hashPart)
    return undefined
  }
  const { info, store } = entry.object
  if (!store.leases.covers(info.storePath)) return takeLeaseAndSend(origin, reply, hashPart, entry, form)
  send(reply, entry, form)
  return undefined
}

/**
 * The client will request the NAR next, so the path must survive a garbage collection until then. It may have been
 * collected before the lease was taken, so it is looked up again.
 */
async function takeLeaseAndSend(
  origin: Origin,
  reply: Reply,
  hashPart: string,
  { object }: CatalogueEntry,
  form: 'text' | 'json',
): Promise<void> {
  await object.store.leases.take(object.info.storePath)
  try {
    const entry = await origin.catalogue.find(hashPart)
    if (entry === undefined) refuseAbsent(reply, hashPart)
    else send(reply, entry, form)
  } catch (error) {
    answerError(origin, reply, error)
  }
}

function refuseAbsent(reply: Reply, hashPart: string): void {
  reply.missed = [hashPart]
  reply.refuse(404)
}

function send(reply: Reply, entry: CatalogueEntry, form: 'text' | 'json'): void {
  reply.storePath = entry.object.info.storePath
  const headers = (type: string) => ['Content-Type', type, 'Nix-Link', entry.narInfo.url]
  if (form === 'text') reply.sendPrepared(entry, 'found', () => headers('text/x-nix-narinfo'), entry.text)
  else reply.send(200, 'found', headers('application/json'), `${JSON.stringify(formatNarInfoJson(entry.narInfo))}\n`)
}
