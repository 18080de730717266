/** `/log/<drv>`: the build log of a derivation, in plain text. */
import { once } from 'node:events'
import { pipeline } from 'node:stream/promises'

import type { Router } from 'express'

import type { Origin } from '../origin.ts'
import { replyOf } from '../reply-of.ts'
import { createRouter } from '../router.ts'

export function logRoute({ store, log }: Origin): Router {
  return createRouter().get('/log/:drv', async (request) => {
    const reply = replyOf(request)
    reply.route = 'log'
    const text = await store.openLog(request.params.drv)
    if (text === undefined) return reply.refuse(404)
    try {
      // Opening may find the file gone, and decoding may find it damaged from the start: say so while a status can still be chosen.
      if (!text.readableEnded) await once(text, 'readable')
      reply.begin(200, 'found', ['Content-Type', 'text/plain; charset=utf-8', 'X-Content-Type-Options', 'nosniff'])
      if (reply.isHead) {
        text.destroy()
        reply.response.end()
        return
      }
      text.on('data', (chunk: Buffer) => {
        reply.bytes += chunk.length
      })
      await pipeline(text, reply.response)
    } catch (error) {
      text.destroy()
      log.debug({ err: error, drv: request.params.drv }, 'Could not send a build log to its end')
      reply.refuse(404)
    }
  })
}
