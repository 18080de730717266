/**
 * The depot's administration on the operator's listener, below `/depot/`: JSON in, JSON out, `{"error": …}` for what is
 * refused. Reading is for everybody who reaches the listener; what changes something is answered on a unix socket
 * alone, whose mode says who may: a port of this machine is open to all of its users.
 */
import type { IncomingMessage } from 'node:http'
import * as z from 'zod'

import { type Depot, hashPartOf, readAtMost } from '../../src/index.ts'

/** What the operator may do with it. */
export type AdministeredDepot = Pick<
  Depot,
  'storeDir' | 'collect' | 'explain' | 'find' | 'forget' | 'forgetPushedBy' | 'allow' | 'who' | 'pins' | 'verify'
>

export interface DepotAnswer {
  readonly status: number
  readonly value: unknown
  readonly headers?: Readonly<Record<string, string>>
}

export interface DepotCall {
  readonly depot: AdministeredDepot | undefined
  readonly request: IncomingMessage
  /** Whether the caller came by a unix socket. */
  readonly isPrivate: boolean
}

const maxBodyBytes = 1024 * 1024
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
export async function answerDepot({ depot, request, isPrivate }: DepotCall): Promise<DepotAnswer | undefined> {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost')
  const route = routes[pathname]
  if (route === undefined) return undefined
  if (request.method !== route.method) return { ...fail(405, `Use ${route.method}`), headers: { Allow: route.method } }
  if (depot === undefined)
    return fail(409, 'This Burrow has no depot: set "depot" in its config, or give a user the access "push"')
  if (route.method === 'GET') return route.read(depot, searchParams.get('path') ?? '')
  // A web page can send neither this type nor a request without Origin to another host, unless it is asked first.
  if (request.headers.origin !== undefined || request.headers['content-type'] !== 'application/json')
    return fail(415, 'Send application/json')
  const body = await readJson(request)
  if (body === undefined) return fail(400, `Send JSON of at most ${maxBodyBytes} bytes`)
  if (!isPrivate && !(route.onlyReads?.(body) === true)) {
    return fail(
      403,
      'Only a unix socket may change the depot: set "operator" to one ("unix:/run/burrow/operator.sock"), or leave it out',
    )
  }
  return await route.change(depot, body)
}

type Route =
  | {
      readonly method: 'GET'
      readonly read: (depot: AdministeredDepot, path: string) => DepotAnswer | Promise<DepotAnswer>
    }
  | {
      readonly method: 'POST'
      readonly onlyReads?: (body: unknown) => boolean
      readonly change: (depot: AdministeredDepot, body: unknown) => Promise<DepotAnswer>
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

async function collect(depot: AdministeredDepot, body: unknown): Promise<DepotAnswer> {
  const wanted = gcRequest.safeParse(body)
  if (!wanted.success) return misunderstood(wanted.error)
  const report = await depot.collect(wanted.data)
  if ('status' in report) return toAnswer(report)
  return succeed(report)
}

async function forget(depot: AdministeredDepot, body: unknown): Promise<DepotAnswer> {
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
  answer: () => DepotAnswer | Promise<DepotAnswer>,
): DepotAnswer | Promise<DepotAnswer> {
  const isBelow =
    path.startsWith(`${depot.storeDir}/`) &&
    /^\/[0-9a-df-np-sv-z]{32}-[^/]{1,211}$/.test(path.slice(depot.storeDir.length))
  return isBelow ? answer() : fail(400, `Name a store path of this cache: ${depot.storeDir}/<hash>-<name>`)
}

function isHere(depot: AdministeredDepot, path: string): boolean {
  return depot.find(hashPartOf(path))?.info.storePath === path
}

const succeed = (value: unknown): DepotAnswer => ({ status: 200, value })
const fail = (status: number, error: string): DepotAnswer => ({ status, value: { error } })

function misunderstood(error: z.ZodError): DepotAnswer {
  const [issue] = error.issues
  return fail(
    400,
    `The request cannot be understood: ${issue?.path.join('/') ?? ''} ${issue?.message ?? ''}`.slice(0, 300),
  )
}

/** A result of the depot, or its refusal. */
function toAnswer(result: object): DepotAnswer {
  const { status, reason } = result as { readonly status?: unknown; readonly reason?: string }
  return status === 'refused' ? fail(409, reason ?? 'refused') : succeed(result)
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const body = await readAtMost(request.iterator({ destroyOnReturn: false }), maxBodyBytes)
  if (body === undefined) return undefined
  try {
    return JSON.parse(body.toString('utf8')) as unknown
  } catch {
    return undefined
  }
}
