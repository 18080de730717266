/**
 * Users and invitations on the operator's listener, below `/team/` (see json-answer.ts). The same functions answer the
 * commands when Burrow does not run (team-client.ts).
 */
import type { IncomingMessage } from 'node:http'
import * as z from 'zod'

import { accessKinds, isRefusal, type Team } from '../../src/index.ts'
import { Complaint } from '../complaint.ts'
import { fail, type JsonAnswer, misunderstood, onlyPrivate, readPosted, succeed, useMethod } from './json-answer.ts'

export interface TeamCall {
  readonly team: Team
  readonly request: IncomingMessage
  /** Whether the caller came by a unix socket. */
  readonly isPrivate: boolean
  /** How clients reach the cache, as far as it is known. */
  readonly url: string | undefined
}

const by = 'operator'

const name = z.string().max(300)
const access = z.array(z.enum(accessKinds)).max(3)
const time = z.iso.datetime().transform((text) => new Date(text))
const password = z.string().max(4096).optional()

type Change = (team: Team, body: unknown) => Promise<object | undefined> | z.ZodError

/** The outcome of a change: a refusal, or what it made. A ZodError: the request is wrong. */
function change<Body>(schema: z.ZodType<Body>, act: (team: Team, body: Body) => Promise<object>): Change {
  return (team, body) => {
    const parsed = schema.safeParse(body)
    return parsed.success ? act(team, parsed.data) : parsed.error
  }
}

const changes: Readonly<Record<string, Change>> = {
  '/team/add': change(z.strictObject({ name, access, expires: time.optional(), password }), (team, wish) =>
    team.add({ name: wish.name, access: wish.access, expires: wish.expires, password: wish.password, by }),
  ),
  '/team/password': change(z.strictObject({ name, password }), (team, wish) =>
    team.changePassword(wish.name, wish.password, by),
  ),
  '/team/access': change(z.strictObject({ name, access }), (team, wish) =>
    team.changeAccess(wish.name, wish.access, by),
  ),
  '/team/expire': change(z.strictObject({ name, expires: time.optional() }), (team, wish) =>
    team.changeExpiry(wish.name, wish.expires, by),
  ),
  '/team/remove': change(z.strictObject({ name }), (team, wish) => team.remove(wish.name, by)),
  '/team/invite': change(
    z.strictObject({ name, access, userExpires: time.optional(), validMs: z.int().nonnegative().optional() }),
    (team, { userExpires, validMs, ...wish }) => team.invite({ ...wish, userExpires, validMs }, by),
  ),
  '/team/revoke': change(z.strictObject({ id: name }), (team, wish) => team.revoke(wish.id, by)),
}

/** Undefined: there is no such address. */
export async function answerTeam({ team, request, isPrivate, url }: TeamCall): Promise<JsonAnswer | undefined> {
  const { pathname } = new URL(request.url ?? '/', 'http://localhost')
  if (pathname === listPath) return request.method === 'GET' ? listTeam(team, url) : useMethod('GET')
  if (!Object.hasOwn(changes, pathname)) return undefined
  if (request.method !== 'POST') return useMethod('POST')
  const posted = await readPosted(request)
  if ('answer' in posted) return posted.answer
  if (!isPrivate) return onlyPrivate('the users')
  return await changeTeam(team, pathname, posted.body, url)
}

export const listPath = '/team/list'

export function listTeam(team: Team, url: string | undefined): JsonAnswer {
  const { impediment = null } = team
  return succeed({ impediment, url, users: team.users(), invitations: team.invitations() })
}

/** `path`: one of `changes`. */
export async function changeTeam(
  team: Team,
  path: string,
  body: unknown,
  url: string | undefined,
): Promise<JsonAnswer> {
  const outcome = changes[path]!(team, body)
  if (outcome instanceof z.ZodError) return misunderstood(outcome)
  try {
    const result = await outcome
    return isRefusal(result) ? fail(409, result.reason) : succeed({ ...result, url })
  } catch (error) {
    if (error instanceof Complaint) return fail(500, error.message)
    throw error
  }
}
