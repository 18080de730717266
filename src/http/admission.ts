/**
 * Lets a request in or answers it: every route of the public listener stands behind this door. Strangers get the same 401 for what is
 * here, what is not, and what cannot be.
 */
import type { Reply } from './reply.ts'
import type { Identity } from './user.ts'
import type { Verdict, Verifier } from './verifier.ts'

export const realm = 'burrow'

/** True when the request may go on; else it was answered. */
export function admit(reply: Reply, verdict: Verdict): boolean {
  switch (verdict.kind) {
    case 'known':
      return admitIdentity(reply, verdict.identity)
    case 'slow-down':
      reply.postpone(verdict.retryAfterSeconds, 429)
      return false
    case 'unknown':
      reply.refuse(401, ['WWW-Authenticate', `Basic realm="${realm}", charset="UTF-8"`])
      return false
  }
}

/** Reading is what all of these routes do. */
export function admitIdentity(reply: Reply, identity: Identity): boolean {
  reply.identity = identity
  if (identity.access.has('pull') || identity.access.has('admin')) return true
  reply.refuse(403)
  return false
}

export async function verifyAndAdmit(verifier: Verifier, reply: Reply): Promise<boolean> {
  return admit(reply, await verifier.verify(reply.request.headers.authorization, reply.address))
}
