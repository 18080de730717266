/**
 * Commands of the operator on the running Burrow: JSON in, JSON out, `{"error": …}` for what is refused. Reading is for
 * everybody who reaches the listener. What changes something is answered on a unix socket only, whose mode says who may:
 * a port of this machine is open to all of its users.
 */
import type { IncomingMessage } from 'node:http'
import type * as z from 'zod'

import { readAtMost } from '../../src/index.ts'
import { parseJson } from './parse-json.ts'

export interface JsonAnswer {
  readonly status: number
  readonly value: unknown
  readonly headers?: Readonly<Record<string, string>>
}

const maxBodyBytes = 1024 * 1024

export const succeed = (value: unknown): JsonAnswer => ({ status: 200, value })
export const fail = (status: number, error: string): JsonAnswer => ({ status, value: { error } })

export function misunderstood(error: z.ZodError): JsonAnswer {
  const [issue] = error.issues
  return fail(
    400,
    `The request cannot be understood: ${issue?.path.join('/') ?? ''} ${issue?.message ?? ''}`.slice(0, 300),
  )
}

export function useMethod(method: string): JsonAnswer {
  return { ...fail(405, `Use ${method}`), headers: { Allow: method } }
}

/** Wrong, and why; or the body. */
export async function readPosted(
  request: IncomingMessage,
): Promise<{ readonly answer: JsonAnswer } | { readonly body: unknown }> {
  // A web page can send neither this type nor a request without Origin to another host, unless it is asked first.
  if (request.headers.origin !== undefined || request.headers['content-type'] !== 'application/json')
    return { answer: fail(415, 'Send application/json') }
  const bytes = await readAtMost(request.iterator({ destroyOnReturn: false }), maxBodyBytes)
  const body = bytes && parseJson(bytes.toString('utf8'))
  return body === undefined ? { answer: fail(400, `Send JSON of at most ${maxBodyBytes} bytes`) } : { body }
}

export function onlyPrivate(what: string): JsonAnswer {
  return fail(
    403,
    `Only a unix socket may change ${what}: set "operator" to one ("unix:/run/burrow/operator.sock"), or leave it out`,
  )
}
