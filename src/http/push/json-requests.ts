/** Requests of Burrow's own client with JSON bodies. */
import type { RequestHandler } from 'express'
import * as z from 'zod'

import type { Reply } from '../reply.ts'
import { replyOf } from '../reply-of.ts'
import { refuseJson } from './refusals.ts'
import { readWhole } from './request-body.ts'

/** Maximum number of paths in one request. */
export const planPaths = 2000
const maxJsonBytes = 8 * 1024 * 1024

export const storePath = z.string().max(300)

export function pushRoute<Params>(
  serve: (reply: Reply, params: Params) => Promise<void> | void,
): RequestHandler<Params> {
  return async (request) => {
    const reply = replyOf(request)
    reply.route = 'push'
    reply.uploaded()
    await serve(reply, request.params)
  }
}

/** Undefined when the request was refused. */
export async function readJson<T>(reply: Reply, schema: z.ZodType<T>): Promise<T | undefined> {
  const bytes = await readWhole(reply.request, maxJsonBytes)
  if (bytes === undefined) {
    refuseJson(reply, 413, `A request may have at most ${maxJsonBytes} bytes, uncompressed or with gzip, br or zstd`)
    return undefined
  }
  const parsed = schema.safeParse(parseJson(bytes))
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  refuseJson(reply, 400, `Invalid request: ${issue?.path.join('/') ?? ''} ${issue?.message ?? ''}`.slice(0, 300))
  return undefined
}

function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch {
    return undefined
  }
}
