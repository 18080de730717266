/**
 * `users.json`: the users that were added by commands, pages and invitations, and the invitations. Passwords and tokens
 * are stored as hashes only: argon2id for passwords, SHA-256 for tokens, which are 32 random bytes.
 *
 *     {"version":1,"users":[{"name":"ben","passwordHash":"$argon2id$…","access":["pull"],…}],"invitations":[{"id":"…",…}]}
 */
import * as z from 'zod'

import { accessKinds } from '../../src/index.ts'
import { createPrivateDocument, type PrivateDocument } from '../state/private-document.ts'
import type { FileOwner } from '../state/private-files.ts'

const access = z.array(z.enum(accessKinds)).min(1)
const time = z.iso.datetime()
const words = z.string().max(260)

/** Loose: keys that a later version adds are kept. */
const user = z.looseObject({
  name: z.string().min(1).max(260),
  passwordHash: z.string().startsWith('$argon2id$').max(127),
  access,
  expires: time.optional(),
  source: z.enum(['added', 'invited']),
  added: time,
  addedBy: words,
})

const invitation = z.looseObject({
  id: words,
  name: z.string().min(1).max(260),
  /** SHA-256 of the token, in hexadecimal. Absent once it was used. */
  tokenHash: z.string().length(64).optional(),
  access,
  userExpires: time.optional(),
  created: time,
  createdBy: words,
  expires: time,
  used: time.optional(),
})

const hasUniqueNames = (users: readonly { readonly name: string }[]) =>
  new Set(users.map(({ name }) => name)).size === users.length

const schema = z.looseObject({
  version: z.literal(1),
  users: z.array(user).refine(hasUniqueNames),
  invitations: z.array(invitation),
})

export type TeamContent = z.output<typeof schema>
export type UserRecord = TeamContent['users'][number]
export type InvitationRecord = TeamContent['invitations'][number]

export const emptyTeam = (): TeamContent => ({ version: 1, users: [], invitations: [] })

export function createTeamDocument(file: string, owner?: FileOwner): PrivateDocument<TeamContent> {
  return createPrivateDocument<TeamContent>(file, {
    schema,
    empty: emptyTeam,
    remedy: 'Burrow starts without the users and invitations in it',
    owner,
  })
}
