/**
 * The status report: what `/status` on the operator listener sends as JSON, and what `burrow status` and
 * `burrow doctor` read. It has no secrets. Dates are ISO 8601 in UTC; unknown values are null.
 */
import * as z from 'zod'
import type { PublishedHealth, UserSource } from '../../src/index.ts'
import type { TunnelMode } from '../tunnel/settings.ts'
import type { TunnelState, TunnelStatus } from '../tunnel/tunnel.ts'

const nullableText = z.string().nullable()
/** A newer Burrow may have further values; they are shown as text. */
const text = <Known extends string>() => z.custom<Known>((value) => typeof value === 'string')
const count = z.number().nonnegative()
/** Loose: fields that a newer Burrow adds are kept. */
export const reportSchema = z.looseObject({
  version: z.string(),
  pid: z.int(),
  startedAt: z.iso.datetime(),
  now: z.iso.datetime(),
  /** The config file; null if the defaults are used. */
  config: nullableText,
  stateDir: z.string(),
  tunnel: z.looseObject({
    state: text<TunnelState>(),
    since: z.iso.datetime(),
    reason: z.string(),
    remedy: nullableText,
    mode: text<TunnelMode>().nullable(),
    connections: count,
    hostname: nullableText,
    tunnelId: nullableText,
    connectorId: nullableText,
    binary: z.looseObject({ path: z.string(), version: z.string().optional() }).nullable(),
    pid: z.int().nullable(),
    metricsUrl: nullableText,
    isStopping: z.boolean().default(false),
    restarts: count,
    lastConnected: nullableText,
    nextAttempt: nullableText,
    lastError: nullableText,
  }),
  /** How clients reach the cache through the tunnel, `https://…`. */
  publicUrl: nullableText,
  origin: z.looseObject({
    /** `http://127.0.0.1:8080` or `unix:/path`. */
    url: z.string(),
    requestsUnderWay: count,
    isDraining: z.boolean(),
    /** Why it cannot serve; null if it can. */
    impediment: nullableText,
    /** True while all paths are answered as absent because the store cannot be read. */
    answersAbsent: z.boolean().default(false),
  }),
  /** As clients know it. */
  storeDir: z.string(),
  /** In the order in which they are asked. */
  stores: z.array(
    z.looseObject({
      name: z.string(),
      type: z.string(),
      location: z.string(),
      isReadable: z.boolean(),
      mode: z.string().optional(),
      problem: z.string().optional(),
      withdrawn: z.looseObject({ now: count, total: count }),
      leases: z.looseObject({ active: z.boolean(), connections: count, roots: count, held: count }).optional(),
      published: z
        .looseObject({
          state: text<PublishedHealth['state']>(),
          paths: count,
          ofPaths: count,
          rootProblems: z.array(z.looseObject({ root: z.string(), problem: z.string() })),
        })
        .optional(),
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
          shortage: z.string().optional(),
          recovered: z.looseObject({ sweptFiles: count, lostNars: count }),
        })
        .optional(),
    }),
  ),
  /** null: there is no larder. */
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
      unwritable: z.string().optional(),
    })
    .nullable(),
  /** null: the cache is public. */
  users: z
    .array(
      z.looseObject({
        name: z.string(),
        access: z.array(z.string()),
        expires: nullableText,
        isExpired: z.boolean(),
        /** In the config, made at the first start, added by a command or a page, or invited. */
        source: text<UserSource>().default('config'),
      }),
    )
    .nullable(),
  openInvitations: count.default(0),
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

/** The fields that this version knows, without the index signatures of loose objects. */
type Known<T> = T extends readonly (infer Element)[]
  ? readonly Known<Element>[]
  : T extends object
    ? { readonly [Name in keyof T as string extends Name ? never : Name]: Known<T[Name]> }
    : T

export type StatusReport = Known<z.output<typeof reportSchema>>
export type TunnelReport = StatusReport['tunnel']
export type StoreReport = StatusReport['stores'][number]
export type DepotReport = NonNullable<StoreReport['depot']>
export type UserReport = NonNullable<StatusReport['users']>[number]

/** Dates become text, `undefined` becomes null. */
export function toTunnelReport(status: TunnelStatus): TunnelReport {
  return {
    ...status,
    since: status.since.toISOString(),
    remedy: status.remedy ?? null,
    mode: status.mode ?? null,
    hostname: status.hostname ?? null,
    tunnelId: status.tunnelId ?? null,
    connectorId: status.connectorId ?? null,
    binary: status.binary ?? null,
    pid: status.pid ?? null,
    metricsUrl: status.metricsUrl ?? null,
    lastConnected: status.lastConnected?.toISOString() ?? null,
    nextAttempt: status.nextAttempt?.toISOString() ?? null,
    lastError: status.lastError ?? null,
  }
}
