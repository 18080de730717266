/** From the request as Express hands it on to the reply that was begun before Express saw it. */
import type { IncomingMessage } from 'node:http'

import type { Reply } from './reply.ts'

const replies = new WeakMap<IncomingMessage, Reply>()

export function keepReply(reply: Reply): void {
  replies.set(reply.request, reply)
}

export function replyOf(request: IncomingMessage): Reply {
  const reply = replies.get(request)
  if (reply === undefined) throw new Error('A request reached Express without its reply')
  return reply
}
