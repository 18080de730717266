/**
 * `/join/<token>`: an invitation. The token is the login: a GET shows what the invitation will do and uses nothing up, a
 * POST makes the account and shows its password once. `burrow use` sends the same requests and accepts JSON.
 * `/join/<token>/client.mjs` is the client in one file, for machines that have no login yet.
 */
import type { Request, Router } from 'express'

import { shownOriginOf } from '../auth/client-address.ts'
import type { LoginThrottle } from '../auth/login-throttle.ts'
import { htmlType, pageHeaders, renderDocument } from '../pages/document.ts'
import { isForPerson } from '../pages/error-page.ts'
import {
  joinedTitle,
  joinTitle,
  renderJoinedPage,
  renderJoinPage,
  renderUselessPage,
  uselessTitle,
} from '../pages/join-page.ts'
import { frameOf, sendPage } from '../pages/send-page.ts'
import type { Particulars } from '../particulars.ts'
import { discreet } from '../raw-headers.ts'
import type { Reply } from '../reply.ts'
import { replyOf } from '../reply-of.ts'
import { createRouter } from '../router.ts'
import { isSameOrigin } from '../same-origin.ts'
import { type Invitation, type Team, untilStored } from '../team.ts'
import { clientMissing, type ReadClientProgram } from './client-program.ts'

export interface JoinOptions {
  readonly team: Team
  /** Guessed tokens are slowed as wrong passwords are. */
  readonly throttle: LoginThrottle
  readonly storeDir: string
  readonly particulars: () => Particulars
  readonly readClientProgram: ReadClientProgram | undefined
}

type JoinRequest = Request<{ token: string }>

export function joinRoute(options: JoinOptions): Router {
  const { team, storeDir, particulars } = options
  const open = async (request: JoinRequest): Promise<{ reply: Reply; invitation: Invitation } | undefined> => {
    const reply = replyOf(request)
    reply.route = 'join'
    const invitation = await findInvitation(options, reply, request.params.token)
    return invitation && { reply, invitation }
  }

  return createRouter()
    .get('/join/:token', async (request) => {
      const opened = await open(request)
      if (opened === undefined) return
      const { reply, invitation } = opened
      if (!isForPerson(request)) return sendJson(reply, { ...offerOf(invitation), ...siteOf(options) })
      const link = `${shownOriginOf(request).url}/join/${request.params.token}`
      sendPage(reply, particulars(), { title: joinTitle }, renderJoinPage(invitation, link, storeDir), 'missed')
    })
    .post('/join/:token', async (request) => {
      const opened = await open(request)
      if (opened === undefined) return
      const { reply } = opened
      if (!isSameOrigin(request, true)) return reply.refuse(403, discreet, 'Open the link of the invitation itself')
      const user = await untilStored(team.accept(request.params.token))
      // Another browser was faster.
      if (user === undefined) return refuseUseless(options, reply)
      if (!isForPerson(request)) return sendJson(reply, { ...user, ...siteOf(options) })
      const { publicKeys } = particulars()
      const body = renderJoinedPage({ ...user, url: shownOriginOf(request).url, publicKeys })
      sendPage(reply, particulars(), { title: joinedTitle }, body, 'missed')
    })
    .get('/join/:token/client.mjs', async (request) => {
      const opened = await open(request)
      if (opened === undefined) return
      const program = await options.readClientProgram?.()
      if (program === undefined) return opened.reply.refuse(404, discreet, clientMissing)
      opened.reply.send(200, 'missed', ['Content-Type', 'text/javascript; charset=utf-8', ...discreet], program)
    })
}

/** Undefined if the request was answered. */
async function findInvitation(options: JoinOptions, reply: Reply, token: string): Promise<Invitation | undefined> {
  const attempt = await options.throttle.begin(reply.address)
  if (attempt === undefined) {
    reply.postpone(5, 429)
    return undefined
  }
  const invitation = options.team.findInvitation(token)
  if (invitation === undefined) {
    await attempt.fail('/join')
    refuseUseless(options, reply)
  } else attempt.succeed()
  return invitation
}

function refuseUseless({ particulars }: JoinOptions, reply: Reply): void {
  if (!isForPerson(reply.request)) return reply.refuse(404, discreet, uselessTitle)
  const site = particulars()
  const text = renderDocument(frameOf(reply, site, { title: uselessTitle }), renderUselessPage(site.contact))
  reply.send(404, 'missed', ['Content-Type', htmlType, ...pageHeaders], text)
}

function offerOf({ name, access, userExpires, expires }: Invitation): object {
  return { name, access, userExpires, expires }
}

function siteOf({ storeDir, particulars }: JoinOptions): object {
  return { storeDir, publicKeys: particulars().publicKeys }
}

function sendJson(reply: Reply, value: object): void {
  reply.send(200, 'missed', ['Content-Type', 'application/json', ...discreet], `${JSON.stringify(value)}\n`)
}
