/** `/v1/pins`: protects paths from garbage collection under a name. `/v1/forget`: removes paths. */
import type { Router } from 'express'
import * as z from 'zod'

import { printable } from '../../format.ts'
import { isPinName, mayWritePin, type PushTarget } from '../../store/depot/contract.ts'
import { mayDo } from '../auth/user.ts'
import type { Reply } from '../reply.ts'
import { createRouter } from '../router.ts'
import { planPaths, pushRoute, readJson, storePath } from './json-requests.ts'
import { refuseClient, refuseJson, sendJson, userOf } from './refusals.ts'

const pinName =
  'a pin has a name like "app" or "ci/app": letters, digits, ".", "_", "+" and "-", in up to four parts separated by "/"'
export const pin = z.object({
  name: z.string().max(260).refine(isPinName, pinName),
  keepLast: z.int().min(1).max(1000).default(1),
})
const pinRequest = z.object({
  storePaths: z.array(storePath).min(1).max(planPaths),
  keepLast: z.int().min(1).max(1000).default(1),
  expires: z.iso.datetime({ offset: true }).optional(),
})
const forgetRequest = z.object({ storePaths: z.array(storePath).min(1).max(1000) })

export function pins(depot: PushTarget): Router {
  const router = createRouter()
  router.get(
    '/v1/pins',
    pushRoute((reply) => sendJson(reply, { pins: depot.pins() })),
  )
  router.get(
    '/v1/pins/*name',
    pushRoute((reply, params: PinParams) => getPin(depot, reply, params)),
  )
  router.put(
    '/v1/pins/*name',
    pushRoute((reply, params: PinParams) => putPin(depot, reply, params)),
  )
  router.delete(
    '/v1/pins/*name',
    pushRoute((reply, params: PinParams) => deletePin(depot, reply, params)),
  )
  router.post(
    '/v1/forget',
    pushRoute((reply) => forget(depot, reply)),
  )
  return router
}

interface PinParams {
  readonly name: readonly string[]
}

const noPin = (name: string) => `There is no pin "${printable(name)}"; see "burrow pins"`

function getPin(depot: PushTarget, reply: Reply, params: PinParams): void {
  const name = params.name.join('/')
  const found = depot.pins().find((one) => one.name === name)
  if (found === undefined) refuseJson(reply, 404, noPin(name))
  else sendJson(reply, found)
}

async function putPin(depot: PushTarget, reply: Reply, params: PinParams): Promise<void> {
  const name = params.name.join('/')
  const wanted = await readJson(reply, pinRequest)
  if (wanted === undefined) return
  if (!isPinName(name)) return refuseJson(reply, 400, `Invalid pin name: ${pinName}`)
  if (!mayPin(reply, name)) return refusePin(reply, name)
  const { storePaths, keepLast, expires } = wanted
  const outcome = await depot.setPin({
    name,
    storePaths,
    keepLast,
    user: userOf(reply),
    ...(expires !== undefined && { expiresAt: Date.parse(expires) }),
  })
  if (outcome === 'stored') sendJson(reply, { name, status: 'stored' })
  else refuseClient(reply, outcome)
}

async function deletePin(depot: PushTarget, reply: Reply, params: PinParams): Promise<void> {
  const name = params.name.join('/')
  if (!mayPin(reply, name)) return refusePin(reply, name)
  const outcome = await depot.removePin(name, userOf(reply))
  if (typeof outcome === 'object') refuseClient(reply, outcome)
  else if (outcome) sendJson(reply, { name, status: 'removed' })
  else refuseJson(reply, 404, noPin(name))
}

async function forget(depot: PushTarget, reply: Reply): Promise<void> {
  const wanted = await readJson(reply, forgetRequest)
  if (wanted === undefined) return
  const outcome = await depot.forget(wanted.storePaths, userOf(reply))
  if ('status' in outcome) refuseClient(reply, outcome)
  else sendJson(reply, { forgotten: outcome })
}

export function mayPin({ user, identity }: Reply, name: string): boolean {
  return mayWritePin(name, user, identity !== undefined && mayDo(identity, []))
}

export function refusePin(reply: Reply, name: string): void {
  refuseJson(
    reply,
    403,
    `You may not change the pin "${printable(name)}", only pins whose names start with "${reply.user ?? ''}/"; other pins require the access "admin"`,
  )
}
