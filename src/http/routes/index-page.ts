/** `/`: the page that the operator configured, or the built-in one. */
import type { Router } from 'express'

import { shownOriginOf } from '../auth/client-address.ts'
import { mayDo } from '../auth/user.ts'
import { ownPageHeaders } from '../pages/document.ts'
import { renderOverview } from '../pages/overview.ts'
import { sendPage } from '../pages/send-page.ts'
import type { Site } from '../pages/site.ts'
import type { Particulars } from '../particulars.ts'
import type { Reply } from '../reply.ts'
import { replyOf } from '../reply-of.ts'
import { createRouter } from '../router.ts'

const maxLatest = 12

export function indexRoute(site: Site): Router {
  return createRouter().get('/', async (request) => {
    const reply = replyOf(request)
    reply.route = 'index'
    const particulars = site.particulars()
    const { indexPage } = particulars
    if (indexPage === false) return reply.refuse(404)
    if (indexPage !== undefined)
      return reply.send(200, 'found', ['Content-Type', indexPage.contentType, ...ownPageHeaders], indexPage.body)
    await sendOverview(site, reply, particulars)
  })
}

async function sendOverview(
  { origin, names, readStatus }: Site,
  reply: Reply,
  particulars: Particulars,
): Promise<void> {
  await names.update()
  const { objects } = await names.search([], maxLatest)
  const { identity } = reply
  const body = renderOverview({
    setup: {
      storeDir: origin.stores.storeDir,
      publicKeys: particulars.publicKeys,
      origin: shownOriginOf(reply.request),
      login: particulars.isPublic ? undefined : { name: identity?.name ?? 'NAME' },
      mayPush: identity !== undefined && particulars.takesPushes && mayDo(identity, ['push']),
    },
    status: readStatus(),
    latest: objects,
    isComplete: names.isComplete,
  })
  sendPage(reply, particulars, { title: 'Overview', current: 'overview' }, body, 'missed')
}
