/**
 * Requests to the Cloudflare API: the reply is validated, and every error becomes a complaint that names the permission
 * it needs.
 */
import * as z from 'zod'

import { Complaint } from '../complaint.ts'
import {
  findRateLimitSeconds,
  isNotFound,
  maxRetryWaitSeconds,
  toApiComplaint,
  type Undertaking,
} from './api-faults.ts'
import type { TokenKind } from './token-kind.ts'

/** More than any account has under one name. */
const maxItems = 1000

export type Purpose = Pick<Undertaking, 'action' | 'permission'>

export interface RequestOptions {
  /** Host of the API, for messages. */
  readonly host: string
  readonly tokenKind: TokenKind
  readonly sleep: (ms: number) => Promise<unknown>
}

/** The functions reject with a Complaint, except for bugs. */
export function createRequests({ host, tokenKind, sleep }: RequestOptions) {
  async function ask<T>(purpose: Purpose, schema: z.ZodType<T>, call: () => PromiseLike<unknown>): Promise<T> {
    try {
      return schema.parse(await call())
    } catch (error) {
      const misfit = describeMisfit(error)
      if (misfit !== undefined)
        throw new Complaint('refused', `Cannot ${purpose.action}: unexpected reply from ${host} (${misfit})`, {
          cause: error,
        })
      throw toApiComplaint(error, { ...purpose, host, tokenKind })
    }
  }
  const list = <T>(purpose: Purpose, schema: z.ZodType<T>, call: () => AsyncIterable<unknown>) =>
    ask(purpose, z.array(schema), async () => {
      const items: unknown[] = []
      for await (const item of call()) if (items.push(item) >= maxItems) break
      return items
    })
  /** Retries only after a rate limit: after any other error, the object may have been created. */
  const create = async (call: () => PromiseLike<unknown>): Promise<unknown> => {
    for (let attempt = 1; ; attempt++) {
      try {
        return await call()
      } catch (error) {
        const seconds = findRateLimitSeconds(error)
        if (seconds === undefined || seconds > maxRetryWaitSeconds || attempt > 3) throw error
        await sleep(seconds * 1000)
      }
    }
  }
  /** Succeeds if it is already deleted. */
  const remove = (purpose: Purpose, call: () => PromiseLike<unknown>) =>
    ask(purpose, z.void(), async () => {
      try {
        await call()
      } catch (error) {
        if (!isNotFound(error)) throw error
      }
    })
  /** `undefined` if it does not exist. */
  const find = <T>(purpose: Purpose, schema: z.ZodType<T>, call: () => PromiseLike<unknown>) =>
    ask(purpose, z.union([z.undefined(), schema]), async () => {
      try {
        return await call()
      } catch (error) {
        if (isNotFound(error)) return undefined
        throw error
      }
    })

  return { ask, list, create, remove, find }
}

function describeMisfit(error: unknown): string | undefined {
  if (error instanceof z.ZodError) {
    const { path, message } = error.issues[0]!
    return `/${path.join('/')}: ${message}`
  }
  return (error as Error | undefined)?.name === 'SyntaxError' ? 'not JSON' : undefined
}
