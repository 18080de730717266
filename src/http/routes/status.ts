/** `/status`: the status for people; `/status/events`: the same, again whenever it changes. */
import type { Router } from 'express'

import { mayDo } from '../auth/user.ts'
import type { EventStreams } from '../events/event-streams.ts'
import { sendPage } from '../pages/send-page.ts'
import type { Site } from '../pages/site.ts'
import { renderStatus, renderStatusPage } from '../pages/status-page.ts'
import type { Reply } from '../reply.ts'
import { replyOf } from '../reply-of.ts'
import { createRouter } from '../router.ts'

export function statusRoute({ particulars, readStatus }: Site, streams: EventStreams): Router {
  return createRouter()
    .get('/status', (request) => {
      const reply = replyOf(request)
      reply.route = 'page'
      const body = renderStatusPage(readStatus(), isAdmin(reply))
      sendPage(reply, particulars(), { title: 'Status', current: 'status' }, body, 'missed')
    })
    .get('/status/events', (request) => {
      const reply = replyOf(request)
      reply.route = 'events'
      streams.start(reply, () => renderStatus(readStatus(), isAdmin(reply)).toString())
    })
}

const isAdmin = ({ identity }: Reply) => identity !== undefined && mayDo(identity, [])
