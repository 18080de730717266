/** `/assets/…`: the stylesheet and the script of pages. They need no login: they say nothing about this cache. */
import type { Router } from 'express'

import { assets } from '../pages/assets.ts'
import { nosniff } from '../raw-headers.ts'
import { replyOf } from '../reply-of.ts'
import { createRouter } from '../router.ts'

export function assetsRoute(): Router {
  const router = createRouter()
  for (const { path, contentType, body } of assets) {
    router.get(path, (request) => {
      const reply = replyOf(request)
      reply.route = 'asset'
      reply.send(200, 'asset', ['Content-Type', contentType, ...nosniff], body)
    })
  }
  return router
}
