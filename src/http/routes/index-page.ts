/** `/`: the page that the operator configured, or the built-in one. */
import type { Router } from 'express'

import { publicOriginOf } from '../auth/client-address.ts'
import type { Origin } from '../origin.ts'
import { htmlType, pageHeaders } from '../pages/document.ts'
import { renderIndexPage } from '../pages/index-page.ts'
import type { Particulars } from '../particulars.ts'
import { replyOf } from '../reply-of.ts'
import { createRouter } from '../router.ts'

export function indexRoute({ stores }: Origin, particulars: () => Particulars): Router {
  return createRouter().get('/', (request) => {
    const reply = replyOf(request)
    reply.route = 'index'
    const { indexPage, publicKeys, isPublic } = particulars()
    if (indexPage === false) return reply.refuse(404)
    const page = indexPage ?? {
      contentType: htmlType,
      body: renderIndexPage({
        storeDir: stores.storeDir,
        publicKeys,
        isPublic,
        origin: publicOriginOf(request),
      }),
    }
    reply.send(200, 'found', ['Content-Type', page.contentType, ...pageHeaders], page.body)
  })
}
