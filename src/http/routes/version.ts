/** `/v1/version`: the version of this program, in one line. */
import type { Router } from 'express'

import type { Particulars } from '../particulars.ts'
import { replyOf } from '../reply-of.ts'
import { createRouter } from '../router.ts'

export function versionRoute(particulars: () => Particulars): Router {
  return createRouter().get('/v1/version', (request) => {
    const reply = replyOf(request)
    reply.route = 'version'
    reply.send(200, 'found', ['Content-Type', 'text/plain; charset=utf-8'], `${particulars().version}\n`)
  })
}
