/** Records of the users file as the library and the pages know them. */
import type { Invitation, TeamUser, User, UserActivity, UserSource } from '../../src/index.ts'
import type { InvitationRecord, UserRecord } from './team-document.ts'

export function toUser({ name, passwordHash, access, expires }: UserRecord): User {
  return {
    name,
    secret: { kind: 'argon2id', hash: passwordHash },
    access: new Set(access),
    expires: toDate(expires),
  }
}

export interface TeamUserFacts {
  readonly isChangeable: boolean
  readonly activity: UserActivity | undefined
  readonly now: Date
}

export function toTeamUser(record: UserRecord, { isChangeable, activity, now }: TeamUserFacts): TeamUser {
  const { name, access, source, added, addedBy } = record
  const expires = toDate(record.expires)
  return {
    name,
    access,
    expires,
    isExpired: isPast(expires, now),
    source,
    isChangeable,
    added: new Date(added),
    addedBy,
    activity,
  }
}

/** A user of the config. */
export interface BaseUser {
  readonly name: string
  readonly access: Iterable<'pull' | 'push' | 'admin'>
  readonly expires?: Date | undefined
}

export function toBaseTeamUser(
  { name, access, expires }: BaseUser,
  source: UserSource,
  { activity, now }: Pick<TeamUserFacts, 'activity' | 'now'>,
): TeamUser {
  return {
    name,
    access: [...access],
    expires,
    isExpired: isPast(expires, now),
    source,
    isChangeable: false,
    added: undefined,
    addedBy: undefined,
    activity,
  }
}

export function toInvitation(record: InvitationRecord, now: Date): Invitation {
  const { id, name, access, userExpires, created, createdBy, expires, used } = record
  return {
    id,
    name,
    access,
    userExpires: toDate(userExpires),
    created: new Date(created),
    createdBy,
    expires: new Date(expires),
    state: used !== undefined ? 'used' : isOpen(record, now) ? 'open' : 'expired',
    used: toDate(used),
  }
}

export function isOpen({ used, expires }: InvitationRecord, now: Date): boolean {
  return used === undefined && Date.parse(expires) > now.getTime()
}

const toDate = (text: string | undefined) => (text === undefined ? undefined : new Date(text))
const isPast = (date: Date | undefined, now: Date) => date !== undefined && date.getTime() <= now.getTime()
