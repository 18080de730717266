/**
 * Replies for refused uploads. Stock Nix stops at a 4xx other than 408 and 429 and shows its text. After a 5xx or 429 it
 * tries again, and Nix 2.8 hangs if it was sending a body; so stock Nix only gets the former. Burrow's own client can
 * handle temporary errors.
 */
import type { PushError } from '../../push/protocol.ts'
import type { Conflict, Pusher, Refusal, RefusalCode } from '../../store/depot/contract.ts'
import type { Reply } from '../reply.ts'

const statusForNix: Readonly<Record<RefusalCode, number>> = {
  'file-mismatch': 422,
  'bad-nar': 422,
  unsupported: 415,
  'too-big': 413,
  'no-room': 413,
  quota: 413,
  mismatch: 422,
  'missing-reference': 422,
  'missing-nar': 422,
  policy: 403,
  conflict: 409,
  busy: 422,
  unavailable: 422,
  cut: 422,
}

const statusForClient: Readonly<Record<RefusalCode, number>> = {
  ...statusForNix,
  'no-room': 507,
  quota: 507,
  busy: 503,
  unavailable: 503,
  cut: 503,
}

/** In plain text. Closes the connection, because the rest of the body is not read. */
export function refuseNix(reply: Reply, { code, reason }: Refusal): void {
  refuseUpload(reply, statusForNix[code], reason)
}

export function refuseUpload(reply: Reply, status: number, text: string): void {
  reply.noteRefused(text)
  if (!reply.request.complete) reply.response.shouldKeepAlive = false
  reply.send(status, 'missed', ['Content-Type', 'text/plain; charset=utf-8'], `${text}\n`)
}

/** `{"error": …}`, for Burrow's own client. */
export function refuseClient(reply: Reply, { code, reason }: Refusal): void {
  const status = statusForClient[code]
  // The client will try again after a temporary error.
  if (status !== 503) reply.noteRefused(reason)
  refuseJson(reply, status, reason, status === 503 ? ['Retry-After', '5'] : [])
}

export function refuseJson(reply: Reply, status: number, error: string, headers: readonly string[] = []): void {
  if (!reply.request.complete) reply.response.shouldKeepAlive = false
  reply.send(
    status,
    'missed',
    [...headers, 'Content-Type', 'application/json'],
    `${JSON.stringify({ error } satisfies PushError)}\n`,
  )
}

export function sendJson(reply: Reply, value: unknown): void {
  reply.send(200, 'missed', ['Content-Type', 'application/json'], `${JSON.stringify(value)}\n`)
}

/** "already stored by ci since 2026-11-26T15:00:00.000Z, with NAR hash sha256:…" */
export function describeConflict({ since, by, narHash }: Conflict): string {
  return `already stored by ${by} since ${new Date(since).toISOString()}, with NAR hash ${narHash}`
}

/** The user's name in records; a public cache does not know its users. */
export function userOf({ user }: Reply): string {
  return user ?? 'anonymous'
}

export function pusherOf(reply: Reply, via: Pusher['via']): Pusher {
  const { headers } = reply.request
  const client = headers['burrow-client'] ?? headers['user-agent']
  return {
    user: userOf(reply),
    via,
    address: reply.address,
    ray: reply.ray,
    client: typeof client === 'string' ? client.slice(0, 100) : undefined,
  }
}
