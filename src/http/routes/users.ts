/**
 * `/users`: users and invitations, for administrators (auth/access-rules.ts). Changes are forms: accepted from pages of
 * this cache alone, with a token that is bound to the user, and answered by 303, so that a reload repeats nothing.
 */
import type { Router } from 'express'

import { createFormTokens } from '../auth/form-token.ts'
import { createOnce } from '../auth/once.ts'
import { sendPage } from '../pages/send-page.ts'
import { renderChangePage } from '../pages/users/change-page.ts'
import type { Outcome } from '../pages/users/outcome.ts'
import { renderUsersPage } from '../pages/users/users-page.ts'
import type { Particulars } from '../particulars.ts'
import { readWhole } from '../push/request-body.ts'
import { replyOf } from '../reply-of.ts'
import { createRouter } from '../router.ts'
import { isSameOrigin } from '../same-origin.ts'
import { type Team, untilStored } from '../team.ts'
import { changeTeam } from './user-changes.ts'

const maxFormBytes = 8 * 1024

export function usersRoute(team: Team, particulars: () => Particulars): Router {
  const tokens = createFormTokens()
  const outcomes = createOnce<Outcome>(() => performance.now())
  return createRouter()
    .get('/users', (request) => {
      const reply = replyOf(request)
      reply.route = 'page'
      const by = reply.user ?? ''
      const { done } = request.query
      const body = renderUsersPage({
        users: team.users(),
        invitations: team.invitations(),
        impediment: team.impediment,
        token: tokens.issue(by),
        outcome: typeof done === 'string' ? outcomes.take(by, done) : undefined,
        now: new Date(),
      })
      sendPage(reply, particulars(), { title: 'Users', current: 'users' }, body, 'missed')
    })
    .get('/users/change', (request) => {
      const reply = replyOf(request)
      reply.route = 'page'
      const user = team.users().find(({ name }) => name === request.query.name)
      if (user === undefined || !user.isChangeable) return reply.refuse(404)
      const body = renderChangePage(user, tokens.issue(reply.user ?? ''), new Date())
      sendPage(reply, particulars(), { title: user.name, current: 'users' }, body, 'missed')
    })
    .post('/users', async (request) => {
      const reply = replyOf(request)
      reply.route = 'page'
      const by = reply.user
      const type = request.headers['content-type']?.split(';')[0]?.trim().toLowerCase()
      if (by === undefined || !isSameOrigin(request) || type !== 'application/x-www-form-urlencoded')
        return reply.refuse(403, [], 'Changes are accepted from the page of users alone')
      const bytes = await readWhole(request, maxFormBytes)
      if (bytes === undefined) return reply.refuse(413)
      reply.uploaded()
      const form = new URLSearchParams(bytes.toString('utf8'))
      if (!tokens.accepts(form.get('token') ?? '', by))
        return reply.refuse(403, [], 'This form is out of date: open the page of users again')
      const outcome = await untilStored(changeTeam(team, form, by, request))
      reply.send(303, 'missed', ['Location', `/users?done=${outcomes.put(by, outcome)}`], '')
    })
}
