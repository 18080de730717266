/**
 * The server side of Burrow's own push protocol, `/v1/push`. Its requests are described in src/push/protocol.ts. Each is
 * answered well before the edge times out.
 */
import type { Router } from 'express'
import * as z from 'zod'

import {
  type CommittedPath,
  countParts,
  type PlannedPath,
  type PushInfo,
  protocolVersion,
} from '../../push/protocol.ts'
import { batchLimits, type Committed, type Planned, type PushTarget, partLimits } from '../../store/depot/contract.ts'
import type { Reply } from '../reply.ts'
import { createRouter } from '../router.ts'
import { planPaths, pushRoute, readJson, storePath } from './json-requests.ts'
import { mayPin, pin, refusePin } from './pins.ts'
import { narHash, type PartParams, partBytes, putBatch, putPart } from './received-parts.ts'
import { describeConflict, pusherOf, refuseClient, sendJson, userOf } from './refusals.ts'

/** A commit waits this long for uploads that are still being checked before it answers `pending`. */
const commitWaitMs = 10_000

const pushedPath = z.object({
  storePath,
  narHash,
  narSize: z.int().positive(),
  references: z.array(storePath).max(10_000),
  deriver: storePath.optional(),
  signatures: z.array(z.string().max(500)).max(50),
  ca: z.string().max(300).optional(),
})
const paths = z.array(pushedPath).max(planPaths)
const planRequest = z.object({ partBytes, paths, includeUpstream: z.boolean().default(false) })
const commitRequest = z.object({
  paths,
  pin: pin.optional(),
  atomic: z.literal(true),
  includeUpstream: z.boolean().default(false),
})
type Pushed = z.output<typeof pushedPath>

export function pushProtocol(depot: PushTarget): Router {
  const router = createRouter()
  router.get(
    '/v1/push',
    pushRoute((reply) => sendJson(reply, describe(depot, reply))),
  )
  router.post(
    '/v1/push/plan',
    pushRoute((reply) => plan(depot, reply)),
  )
  router.put(
    '/v1/push/nar/:narHash/:narSize/:partBytes/:index',
    pushRoute((reply, params: PartParams) => putPart(depot, reply, params)),
  )
  router.post(
    '/v1/push/batch',
    pushRoute((reply) => putBatch(depot, reply)),
  )
  router.post(
    '/v1/push/commit',
    pushRoute((reply) => commit(depot, reply)),
  )
  return router
}

function describe(depot: PushTarget, reply: Reply): PushInfo {
  const { storeDir, policy } = depot
  return {
    protocol: protocolVersion,
    storeDir,
    partBytes: partLimits,
    batchBytes: batchLimits.bodyBytes,
    planPaths,
    upstreamKeys: policy.upstreamKeys,
    keepUnfinishedSeconds: Math.round(policy.keepUnfinishedMs / 1000),
    capabilities: ['batch', 'pin'],
    user: reply.user ?? null,
    access: [...(reply.identity?.access ?? [])],
  }
}

async function plan(depot: PushTarget, reply: Reply): Promise<void> {
  const wanted = await readJson(reply, planRequest)
  if (wanted === undefined) return
  const { paths: planned, room } = await depot.plan(wanted.paths.map(toRecord), wanted.partBytes, userOf(reply))
  for (const one of planned) noteRefused(reply, one)
  sendJson(reply, { paths: planned.map((one, at) => toPlannedPath(one, wanted.paths[at]!, wanted)), room })
}

function toPlannedPath(
  planned: Planned,
  { storePath: path, narSize }: Pushed,
  wanted: z.output<typeof planRequest>,
): PlannedPath {
  switch (planned.status) {
    case 'upload':
      return { storePath: path, status: 'upload', parts: { count: planned.count, have: planned.have } }
    case 'conflict':
      return { storePath: path, status: 'conflict', reason: describeConflict(planned) }
    case 'refused':
      return { storePath: path, status: 'refused', reason: planned.reason }
    case 'elsewhere':
      return wanted.includeUpstream
        ? { storePath: path, status: 'upload', parts: { count: countParts(narSize, wanted.partBytes), have: '' } }
        : { storePath: path, status: 'elsewhere' }
    default:
      return { storePath: path, status: planned.status }
  }
}

async function commit(depot: PushTarget, reply: Reply): Promise<void> {
  const wanted = await readJson(reply, commitRequest)
  if (wanted === undefined) return
  const { paths: pushed, pin: wantedPin } = wanted
  if (wantedPin !== undefined && !mayPin(reply, wantedPin.name)) return refusePin(reply, wantedPin.name)
  const committed = await depot.commit({
    paths: pushed.map(toRecord),
    who: pusherOf(reply, 'burrow'),
    isAtomic: true,
    waitMs: commitWaitMs,
    ...(wantedPin && { pin: { ...wantedPin, storePaths: rootsOf(pushed) } }),
  })
  if ('status' in committed) return refuseClient(reply, committed)
  reply.noteRegistered(committed.filter(({ status }) => status === 'registered').length)
  for (const one of committed) noteRefused(reply, one)
  sendJson(reply, { paths: committed.map((one, at) => toCommittedPath(one, pushed[at]!.storePath)) })
}

function noteRefused(reply: Reply, outcome: Planned | Committed): void {
  if (outcome.status === 'conflict') reply.noteRefused(`conflict: ${describeConflict(outcome)}`)
  else if (outcome.status === 'refused') reply.noteRefused(outcome.reason)
}

/** The paths that no other path of the closure refers to. */
function rootsOf(pushed: readonly Pushed[]): string[] {
  const referred = new Set(
    pushed.flatMap(({ storePath: path, references }) => references.filter((reference) => reference !== path)),
  )
  return pushed.map(({ storePath: path }) => path).filter((path) => !referred.has(path))
}

function toCommittedPath(committed: Committed, path: string): CommittedPath {
  switch (committed.status) {
    case 'incomplete':
      return { storePath: path, status: 'incomplete', missing: committed.missing ?? '' }
    case 'conflict':
      return { storePath: path, status: 'conflict', reason: describeConflict(committed) }
    case 'refused':
      return { storePath: path, status: 'refused', reason: committed.reason }
    default:
      return { storePath: path, status: committed.status }
  }
}

function toRecord({ ca, deriver, ...path }: Pushed) {
  return { ...path, deriver, contentAddress: ca }
}
