/** Finds the reply of a request that has passed through Express. */
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
