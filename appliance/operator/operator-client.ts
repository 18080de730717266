/**
 * Asks the operator's listener of a running Burrow for its status, and tells it from anything else that may answer
 * there.
 */
import * as z from 'zod'

import { formatListenAddress, type ListenAddress } from '../config/listen-address.ts'
import { isListenerAbsent } from '../server/connect-errors.ts'
import { type HttpFailure, httpGet } from '../server/http-get.ts'
import { printable } from '../terminal/format.ts'
import type { StatusReport } from './status.ts'

export type OperatorAnswer =
  | { readonly kind: 'running'; readonly report: StatusReport }
  /** Nobody listens there. */
  | { readonly kind: 'silent'; readonly why: string }
  /** Somebody may listen, and cannot be asked. */
  | { readonly kind: 'unreachable'; readonly why: string; readonly remedy: string }
  /** Something answers that is no Burrow. */
  | { readonly kind: 'foreign'; readonly why: string; readonly remedy: string }

/** Burrow on the same machine answers in milliseconds; a machine under load may need longer. */
const patienceMs = 3000
/** A few thousand users. */
const maxReportBytes = 4 * 1024 * 1024

/** Never rejects. */
export async function askOperator(address: ListenAddress, timeoutMs = patienceMs): Promise<OperatorAnswer> {
  const url = new URL(
    address.kind === 'unix' ? 'http://localhost/status' : `http://${formatListenAddress(address)}/status`,
  )
  const outcome = await httpGet(url, {
    ...(address.kind === 'unix' ? { socketPath: address.path } : {}),
    timeoutMs,
    maxBytes: maxReportBytes,
  })
  if (outcome.kind === 'failure') return toAnswer(outcome)
  const { status, body, isWhole } = outcome
  if (status === 503 && body.toString() === 'starting\n')
    return { kind: 'unreachable', why: 'Burrow is still starting', remedy: 'ask again in a moment' }
  if (status !== 200) return foreign(`something answers there with status ${status}`)
  if (!isWhole) return foreign('something answers there without coming to an end')
  const report = parseReport(body.toString())
  return report === undefined
    ? foreign('something answers there that is not the status of a Burrow')
    : { kind: 'running', report }
}

function toAnswer({ code, message }: HttpFailure): OperatorAnswer {
  if (isListenerAbsent(code)) return { kind: 'silent', why: 'nothing listens there' }
  if (code === 'EACCES' || code === 'EPERM')
    return {
      kind: 'unreachable',
      why: 'this user may not connect there',
      remedy: 'run this as the user that runs Burrow, or as root',
    }
  if (code === 'TIMEOUT')
    return { kind: 'unreachable', why: message, remedy: 'look at its log; restart it if it hangs' }
  return foreign(`something answers there that speaks no HTTP (${printable(code)})`)
}

const foreign = (why: string): OperatorAnswer => ({
  kind: 'foreign',
  why,
  remedy: 'set "operator" to an address of its own, and restart Burrow if it is another version',
})

/** What a newer Burrow tells beyond this is kept. */
const nullableText = z.string().nullable()
const count = z.number().nonnegative()
const reportSchema = z.looseObject({
  version: z.string(),
  pid: z.int(),
  startedAt: z.iso.datetime(),
  now: z.iso.datetime(),
  config: nullableText,
  stateDir: z.string(),
  tunnel: z.looseObject({
    state: z.string(),
    since: z.iso.datetime(),
    reason: z.string(),
    remedy: nullableText,
    mode: nullableText,
    connections: count,
    hostname: nullableText,
    tunnelId: nullableText,
    connectorId: nullableText,
    binary: z.looseObject({ path: z.string(), version: z.string().nullish() }).nullable(),
    pid: z.int().nullable(),
    metricsUrl: nullableText,
    isStopping: z.boolean().default(false),
    restarts: count,
    lastConnected: nullableText,
    nextAttempt: nullableText,
    lastError: nullableText,
  }),
  publicUrl: nullableText,
  origin: z.looseObject({
    url: z.string(),
    requestsUnderWay: count,
    isDraining: z.boolean(),
    impediment: nullableText,
    answersAbsent: z.boolean().default(false),
  }),
  storeDir: z.string(),
  stores: z.array(
    z.looseObject({
      name: z.string(),
      type: z.string(),
      location: z.string(),
      isReadable: z.boolean(),
      problem: z.string().nullish(),
      withdrawn: z.looseObject({ now: count, total: count }),
      leases: z.looseObject({ active: z.boolean(), connections: count, roots: count, held: count }).nullish(),
      depot: z
        .looseObject({
          objects: count,
          nars: count,
          damaged: count,
          pins: count,
          unfinishedUploads: count,
          unfinishedBytes: count,
          usedBytes: count,
          maxBytes: count,
          freeBytes: count,
          pushedToday: z.array(z.looseObject({ user: z.string(), bytes: count })),
          refusedToday: count,
          shortage: z.string().nullish(),
          recovered: z.looseObject({ sweptFiles: count, lostNars: count }),
        })
        .nullish(),
    }),
  ),
  larder: z
    .looseObject({
      dir: z.string(),
      files: count,
      bytes: count,
      maxBytes: count,
      fillsUnderWay: count,
      hits: count,
      fills: count,
      evictions: count,
      damaged: count,
      deltas: z.looseObject({ made: count, sent: count, savedBytes: count }),
      unwritable: z.string().nullish(),
    })
    .nullable(),
  users: z
    .array(
      z.looseObject({ name: z.string(), access: z.array(z.string()), expires: nullableText, isExpired: z.boolean() }),
    )
    .nullable(),
  publicKeys: z.array(z.string()),
  traffic: z.looseObject({
    requests: count,
    bytes: count,
    pushedPaths: count.default(0),
    receivedBytes: count.default(0),
    transfersUnderWay: count,
    failedLogins: count,
  }),
})

function parseReport(text: string): StatusReport | undefined {
  try {
    const parsed = reportSchema.safeParse(JSON.parse(text))
    // States and modes may be newer than this program: whoever shows them takes them as text.
    return parsed.success ? (parsed.data as unknown as StatusReport) : undefined
  } catch {
    return undefined
  }
}
