/** `/v1/public-key`: the public keys of this cache, `name:base64`, one per line. */
import type { Router } from 'express'

import type { Particulars } from '../particulars.ts'
import { replyOf } from '../reply-of.ts'
import { createRouter } from '../router.ts'

export function publicKeyRoute(particulars: () => Particulars): Router {
  return createRouter().get('/v1/public-key', (request) => {
    const reply = replyOf(request)
    reply.route = 'public-key'
    reply.send(
      200,
      'found',
      ['Content-Type', 'text/plain; charset=utf-8'],
      particulars()
        .publicKeys.map((key) => `${key}\n`)
        .join(''),
    )
  })
}
