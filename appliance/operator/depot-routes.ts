/** The depot's administration on the operator's listener, below `/depot/` (see json-answer.ts). */
import type { IncomingMessage } from 'node:http'
import * as z from 'zod'

import { type Depot, hashPartOf } from '../../src/index.ts'
import { fail, type JsonAnswer, misunderstood, onlyPrivate, readPosted, succeed, useMethod } from './json-answer.ts'

/** What the operator may do with it. */
export type AdministeredDepot = Pick<
  Depot,
  'storeDir' | 'collect' | 'explain' | 'find' | 'forget' | 'forgetPushedBy' | 'allow' | 'who' | 'pins' | 'verify'
>

export interface DepotCall {
  readonly depot: AdministeredDepot | undefined
  readonly request: IncomingMessage
  /** Whether the caller came by a unix socket. */
  readonly isPrivate: boolean
}

/** Longer lists of paths are cut, and the reply says how long they were. */
export const maxListedPaths = 100_000
const maxEvents = 1000
const by = 'operator'

const storePath = z.string().max(300)
const gcRequest = z.strictObject({
  olderThanMs: z.int().min(0).optional(),
  toBytes: z.int().min(0).optional(),
  isDryRun: z.boolean(),
})
const allowed = { allow: z.boolean().default(false) }
const forgetRequest = z.union([
  z.strictObject({ storePaths: z.array(storePath).min(1).max(1000), ...allowed }),
  z.strictObject({ pushedBy: z.string().min(1).max(260), since: z.int().min(0), ...allowed }),
])

/** Undefined: there is no such address. */
export async function answerDepot({ depot, request, isPrivate }: DepotCall): Promise<JsonAnswer | undefined> {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost')
  const route = routes[pathname]
  if (route === undefined) return undefined
  if (request.method !== route.method) return useMethod(route.method)
  if (depot === undefined)
    return fail(409, 'This Burrow has no depot: set "depot" in its config, or give a user the access "push"')
  if (route.method === 'GET') return route.read(depot, searchParams.get('path') ?? '')
  const posted = await readPosted(request)
  if ('answer' in posted) return posted.answer
  const { body } = posted
  if (!isPrivate && !(route.onlyReads?.(body) === true)) return onlyPrivate('the depot')
  return await route.change(depot, body)
}

type Route =
  | {
      readonly method: 'GET'
      readonly read: (depot: AdministeredDepot, path: string) => JsonAnswer | Promise<JsonAnswer>
    }
  | {
      readonly method: 'POST'
      readonly onlyReads?: (body: unknown) => boolean
      readonly change: (depot: AdministeredDepot, body: unknown) => Promise<JsonAnswer>
    }

const routes: Readonly<Record<string, Route>> = {
  '/depot/gc': {
    method: 'POST',
    onlyReads: (body) => gcRequest.safeParse(body).data?.isDryRun === true,
    change: collect,
  },
  '/depot/forget': { method: 'POST', change: forget },
  '/depot/verify': { method: 'POST', change: async (depot) => toAnswer(await depot.verify()) },
  '/depot/pins': { method: 'GET', read: (depot) => succeed({ pins: depot.pins() }) },
  '/depot/who': {
    method: 'GET',
    read: (depot, path) =>
      withPath(depot, path, () => succeed({ isHere: isHere(depot, path), events: depot.who(path, maxEvents) })),
  },
  '/depot/explain': {
    method: 'GET',
    read: (depot, path) =>
      withPath(depot, path, async () => {
        const chain = await depot.explain(path)
        return succeed({ isHere: isHere(depot, path), chain: chain ?? null })
      }),
  },
}

async function collect(depot: AdministeredDepot, body: unknown): Promise<JsonAnswer> {
  const wanted = gcRequest.safeParse(body)
  if (!wanted.success) return misunderstood(wanted.error)
  const report = await depot.collect(wanted.data)
  if ('status' in report) return toAnswer(report)
  return succeed(report)
}

async function forget(depot: AdministeredDepot, body: unknown): Promise<JsonAnswer> {
  const parsed = forgetRequest.safeParse(body)
  if (!parsed.success) return misunderstood(parsed.error)
  const { data: wanted } = parsed
  const forgotten =
    'pushedBy' in wanted
      ? await depot.forgetPushedBy(wanted.pushedBy, wanted.since, by)
      : await depot.forget(wanted.storePaths, by)
  if ('status' in forgotten) return toAnswer(forgotten)
  const allowedAgain: string[] = []
  if (wanted.allow) {
    for (const path of new Set([...('storePaths' in wanted ? wanted.storePaths : []), ...forgotten])) {
      const outcome = await depot.allow(path, by)
      if (typeof outcome === 'object') return toAnswer(outcome)
      if (outcome) allowedAgain.push(path)
    }
  }
  return succeed({
    forgottenObjects: forgotten.length,
    forgotten: forgotten.slice(0, maxListedPaths),
    allowed: allowedAgain.slice(0, maxListedPaths),
  })
}

function withPath(
  depot: AdministeredDepot,
  path: string,
  answer: () => JsonAnswer | Promise<JsonAnswer>,
): JsonAnswer | Promise<JsonAnswer> {
  const isBelow =
    path.startsWith(`${depot.storeDir}/`) &&
    /^\/[0-9a-df-np-sv-z]{32}-[^/]{1,211}$/.test(path.slice(depot.storeDir.length))
  return isBelow ? answer() : fail(400, `Name a store path of this cache: ${depot.storeDir}/<hash>-<name>`)
}

function isHere(depot: AdministeredDepot, path: string): boolean {
  return depot.find(hashPartOf(path))?.info.storePath === path
}

/** A result of the depot, or its refusal. */
function toAnswer(result: object): JsonAnswer {
  const { status, reason } = result as { readonly status?: unknown; readonly reason?: string }
  return status === 'refused' ? fail(409, reason ?? 'refused') : succeed(result)
}
