/**
 * The two hot routes, narinfo and NAR, on plain node:http. Express gives each request and response another prototype, which costs more than the
 * whole of a narinfo's answer; so it sees only what is left over.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'

import { admitIdentity, verifyAndAdmit } from './admission.ts'
import { serveNar } from './nar-route.ts'
import { serveNarInfo } from './narinfo-route.ts'
import { answerError, type Origin } from './origin.ts'
import type { Reply } from './reply.ts'
import { type HotTarget, parseHotTarget } from './target.ts'
import type { Verifier } from './verifier.ts'

export function createFastPath(
  origin: Origin,
  verifier: Verifier,
  createReply: (request: IncomingMessage, response: ServerResponse) => Reply,
  otherwise: (reply: Reply) => void,
): (request: IncomingMessage, response: ServerResponse) => void {
  return (request, response) => {
    const reply = createReply(request, response)
    const target = request.method === 'GET' || request.method === 'HEAD' ? parseHotTarget(request.url!) : undefined
    if (target === undefined) return otherwise(reply)
    // Nothing below rejects but by a bug; that costs its own request and no more.
    const answerBug = (error: unknown) => answerError(origin.log, reply, error)
    const identity = verifier.recall(request.headers.authorization)
    if (identity === undefined) {
      verifyAndAdmit(verifier, reply)
        .then((isAdmitted) => (isAdmitted ? serveTarget(origin, reply, target) : undefined))
        .catch(answerBug)
    } else if (admitIdentity(reply, identity)) serveTarget(origin, reply, target)?.catch(answerBug)
  }
}

export function serveTarget(origin: Origin, reply: Reply, target: HotTarget): Promise<void> | undefined {
  return target.route === 'narinfo' ? serveNarInfo(origin, reply, target.hashPart) : serveNar(origin, reply, target)
}
