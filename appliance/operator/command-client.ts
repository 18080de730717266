/** Sends a command to the running Burrow of this machine: depot-routes.ts and team-routes.ts answer. */
import { request as requestHttp } from 'node:http'

import { Complaint, systemCodeOf } from '../complaint.ts'
import { formatListenAddress, type ListenAddress } from '../config/listen-address.ts'
import { isListenerAbsent } from '../server/connect-errors.ts'
import { printable } from '../terminal/format.ts'
import { parseJson } from './parse-json.ts'

export interface Question {
  readonly method: 'GET' | 'POST'
  /** `/depot/gc`, `/depot/who?path=…` */
  readonly path: string
  readonly body?: object | undefined
  /** Undefined: as long as it takes. A collection or a check of everything may take hours. */
  readonly timeoutMs?: number | undefined
}

/** Nothing listens there. */
export class NotRunning extends Complaint {}

const maxReplyBytes = 64 * 1024 * 1024

/** @throws {Complaint} refused */
export async function askBurrowAt<T>(address: ListenAddress, question: Question): Promise<T> {
  const { status, text } = await send(address, question)
  const value = parseJson(text)
  if (status === 200 && value !== undefined) return value as T
  const told = (value as { readonly error?: unknown } | undefined)?.error
  if (typeof told === 'string') throw new Complaint('refused', printable(told))
  throw new Complaint(
    'refused',
    `Cannot ask Burrow at ${formatListenAddress(address)}: HTTP ${status}. Restart Burrow if it is an older version, or give "operator" an address of its own`,
  )
}

function send(
  address: ListenAddress,
  { method, path, body, timeoutMs }: Question,
): Promise<{ readonly status: number; readonly text: string }> {
  const url = new URL(path, address.kind === 'unix' ? 'http://localhost' : `http://${formatListenAddress(address)}`)
  const bytes = body === undefined ? undefined : Buffer.from(JSON.stringify(body))
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; text: string }>()
  const request = requestHttp(url, {
    method,
    agent: false,
    ...(address.kind === 'unix' && { socketPath: address.path }),
    ...(timeoutMs !== undefined && { timeout: timeoutMs }),
    ...(bytes && { headers: { 'content-type': 'application/json', 'content-length': String(bytes.length) } }),
  })
  const fail = (error: unknown) => reject(toComplaint(address, error))
  request.on('error', fail)
  request.on('timeout', () =>
    request.destroy(Object.assign(new Error(`no answer within ${timeoutMs! / 1000} s`), { code: 'TIMEOUT' })),
  )
  request.on('response', (response) => {
    const chunks: Buffer[] = []
    let size = 0
    response.on('error', fail)
    response.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size > maxReplyBytes) request.destroy(new Error('its answer is too long'))
      else chunks.push(chunk)
    })
    response.on('end', () =>
      resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') }),
    )
  })
  request.end(bytes)
  return promise
}

function toComplaint(address: ListenAddress, error: unknown): Complaint {
  const where = formatListenAddress(address)
  const code = systemCodeOf(error)
  if (isListenerAbsent(code))
    return new NotRunning(
      'refused',
      `Burrow is not running here: nothing listens at ${where}. Start it with "burrow serve", or name its config with --config`,
      { cause: error },
    )
  return new Complaint('refused', explain(where, code, error), { cause: error })
}

function explain(where: string, code: string | undefined, error: unknown): string {
  switch (code) {
    case 'EACCES':
    case 'EPERM':
      return `Cannot ask Burrow at ${where}: this user may not connect there. Run this as the user that runs Burrow, or as root`
    case 'ECONNRESET':
      return `Burrow at ${where} ended before it answered: look at its log`
    default:
      return `Cannot ask Burrow at ${where}: ${printable((error as Error).message)}`
  }
}
