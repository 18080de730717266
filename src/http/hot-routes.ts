/**
 * The two hot routes, narinfo and NAR, on plain node:http. Express gives each request and response another prototype,
 * which costs more than the whole of a narinfo's answer; so it sees only what is left over.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'

import type { Door } from './auth/door.ts'
import { serveNar } from './nar/nar-route.ts'
import { serveNarInfo } from './narinfo/narinfo-route.ts'
import { answerError, type Origin } from './origin.ts'
import type { Reply } from './reply.ts'
import { type HotTarget, parseHotTarget } from './target.ts'

/** Every request: authenticated, then answered here or handed to `otherwise`. */
export function createHandler(
  origin: Origin,
  door: Door,
  createReply: (request: IncomingMessage, response: ServerResponse) => Reply,
  otherwise: (reply: Reply) => void,
): (request: IncomingMessage, response: ServerResponse) => void {
  const serve = (reply: Reply): Promise<void> | undefined => {
    const { method, url } = reply.request
    const target = method === 'GET' || method === 'HEAD' ? parseHotTarget(url!) : undefined
    if (target !== undefined) return serveTarget(origin, reply, target)
    otherwise(reply)
    return undefined
  }
  return (request, response) => {
    // Hundreds may have been sent one behind the other on a connection that was ended meanwhile.
    if (request.socket.destroyed) return
    const reply = createReply(request, response)
    // Nothing below rejects but by a bug; that costs its own request and no more.
    const answerBug = (error: unknown) => answerError(origin, reply, error)
    const admission = door.admit(reply)
    if (admission instanceof Promise)
      admission.then((isAdmitted) => (isAdmitted ? serve(reply) : undefined)).catch(answerBug)
    else if (admission) serve(reply)?.catch(answerBug)
  }
}

export function serveTarget(origin: Origin, reply: Reply, target: HotTarget): Promise<void> | undefined {
  return target.route === 'narinfo' ? serveNarInfo(origin, reply, target.hashPart) : serveNar(origin, reply, target)
}
