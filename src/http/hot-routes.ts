/**
 * The two hot routes, narinfo and NAR, on plain node:http. Express replaces the prototype of each request and response,
 * which costs more than answering a narinfo request, so it only gets the other requests.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'

import type { Door } from './auth/door.ts'
import { serveNar } from './nar/nar-route.ts'
import { serveNarInfo } from './narinfo/narinfo-route.ts'
import { answerError, type Origin } from './origin.ts'
import type { Reply } from './reply.ts'
import { type HotTarget, parseHotTarget, toOriginForm } from './target.ts'

/** Authenticates every request, then answers it here or passes it to `otherwise`. */
export function createHandler(
  origin: Origin,
  door: Door,
  createReply: (request: IncomingMessage, response: ServerResponse) => Reply,
  otherwise: (reply: Reply) => void,
): (request: IncomingMessage, response: ServerResponse) => void {
  const serve = (reply: Reply, target: HotTarget | undefined): Promise<void> | undefined => {
    if (target !== undefined) return serveTarget(origin, reply, target)
    otherwise(reply)
    return undefined
  }
  return (request, response) => {
    // Hundreds of requests may have been pipelined on a connection that has been closed in the meantime.
    if (request.socket.destroyed) return
    const { method } = request
    request.url = toOriginForm(request.url!)
    const target = method === 'GET' || method === 'HEAD' ? parseHotTarget(request.url) : undefined
    const reply = createReply(request, response)
    // Everything below rejects only because of a bug, which must affect this request alone.
    const answerBug = (error: unknown) => answerError(origin, reply, error)
    const admission = door.admit(reply, target)
    if (admission instanceof Promise)
      admission.then((isAdmitted) => (isAdmitted ? serve(reply, target) : undefined)).catch(answerBug)
    else if (admission) serve(reply, target)?.catch(answerBug)
  }
}

export function serveTarget(origin: Origin, reply: Reply, target: HotTarget): Promise<void> | undefined {
  return target.route === 'narinfo' ? serveNarInfo(origin, reply, target.hashPart) : serveNar(origin, reply, target)
}
