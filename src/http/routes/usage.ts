/**
 * `/usage?days=30&user=ben`: usage figures as a page. An administrator sees those of all users, or of one; everybody else
 * their own.
 */
import type { Router } from 'express'

import { Fault } from '../../faults.ts'
import { ignoreLate } from '../../ignore-late.ts'
import { hashPartOf } from '../../nix/store-path.ts'
import type { Lookup } from '../../store/store.ts'
import { mayDo } from '../auth/user.ts'
import { sendPage } from '../pages/send-page.ts'
import type { Site } from '../pages/site.ts'
import { renderUsagePage } from '../pages/usage/usage-page.ts'
import { replyOf } from '../reply-of.ts'
import { createRouter } from '../router.ts'
import type { Usage } from '../usage.ts'

const defaultDays = 30
const maxNameLength = 256

export function usageRoute(usage: Usage, { particulars, here, readService }: Site): Router {
  return createRouter().get('/usage', async (request) => {
    const reply = replyOf(request)
    reply.route = 'usage'
    const reader = reply.identity
    // On a public cache, readers have no names, and so no figures of their own.
    if (reader?.name === undefined) return reply.refuse(404)
    const isAdmin = mayDo(reader, [])
    const wanted = readText(request.query.user)
    if (!isAdmin && wanted !== undefined && wanted !== reader.name)
      return reply.refuse(403, [], `User ${reader.name} may see only their own figures`)
    const user = isAdmin ? wanted : reader.name
    const days = readDays(request.query.days, usage.keepDays)
    const summary = await usage.summarize({ days, user })
    if (summary === undefined) return reply.postpone(5)
    const { keepDays } = usage
    const hasPage = (storePath: string) => mayDo(reader, ['pull']) && isHere(here, storePath)
    const hasTunnel = readService()?.tunnel !== undefined
    const body = renderUsagePage({ summary, days, keepDays, user, isAdmin, hasTunnel, hasPage })
    sendPage(reply, particulars(), { title: 'Usage', current: 'usage' }, body, 'missed')
  })
}

/** False also while the store cannot be read: figures do not depend on it. */
function isHere(here: Lookup, storePath: string): boolean {
  try {
    return ignoreLate(here.find(hashPartOf(storePath)))?.info.storePath === storePath
  } catch (error) {
    if (error instanceof Fault) return false
    throw error
  }
}

/** Of several, or of other values, none counts. */
function readText(value: unknown): string | undefined {
  return typeof value === 'string' && value.length <= maxNameLength ? value : undefined
}

function readDays(value: unknown, keepDays: number): number {
  const days = typeof value === 'string' && /^\d{1,3}$/.test(value) ? Number(value) : defaultDays
  return Math.min(Math.max(days, 1), keepDays)
}
