/** `/`: the page that the operator configured, or the built-in one. */
import type { Router } from 'express'

import { publicOriginOf } from '../auth/client-address.ts'
import type { Origin } from '../origin.ts'
import { ownPageHeaders } from '../pages/document.ts'
import { renderIndexPage } from '../pages/index-page.ts'
import { sendPage } from '../pages/send-page.ts'
import type { Particulars } from '../particulars.ts'
import { replyOf } from '../reply-of.ts'
import { createRouter } from '../router.ts'

export function indexRoute({ stores }: Origin, particulars: () => Particulars): Router {
  return createRouter().get('/', (request) => {
    const reply = replyOf(request)
    reply.route = 'index'
    const current = particulars()
    const { indexPage, publicKeys, isPublic } = current
    if (indexPage === false) return reply.refuse(404)
    if (indexPage !== undefined)
      return reply.send(200, 'found', ['Content-Type', indexPage.contentType, ...ownPageHeaders], indexPage.body)
    const body = renderIndexPage({ storeDir: stores.storeDir, publicKeys, isPublic, origin: publicOriginOf(request) })
    sendPage(reply, current, { title: 'Overview', current: 'overview' }, body)
  })
}
