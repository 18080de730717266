/** Adds and changes users of the users file. Users of the config are changed in the config only. */
import type { Access, NewUser, Team, TeamRefusal, TeamUser } from '../../src/index.ts'
import type { TeamContent, UserRecord } from './team-document.ts'
import { makeSecret, Refused, refuseIf, type TeamLedger } from './team-ledger.ts'
import { accessRefusal, expiryRefusal, maxUsers, nameRefusal, passwordRefusal, sortAccess } from './team-rules.ts'
import { isOpen, toTeamUser } from './team-view.ts'

type UserChanges = Pick<Team, 'add' | 'changePassword' | 'changeAccess' | 'changeExpiry' | 'remove'>

export function createUserChanges(ledger: TeamLedger): UserChanges {
  return {
    async add({ name, access, expires, password: given, by }) {
      const refusal = refusalIn(ledger, [
        nameRefusal(name),
        given === undefined ? undefined : passwordRefusal(given),
        accessRefusal(access, ledger.config.hasDepot),
        expiryRefusal(expires, ledger.now),
      ])
      if (refusal !== undefined) return refusal
      const { password, passwordHash } = await makeSecret(given)
      const wanted = { name, access, expires }
      const user = await ledger.change((draft): NewUser => {
        requireFree(ledger, draft, name)
        draft.users.push(newRecord(wanted, { passwordHash, source: 'added', now: ledger.now, by }))
        // It can no longer be accepted.
        draft.invitations = draft.invitations.filter((one) => one.name !== name || !isOpen(one, ledger.now))
        return { name, password, access: sortAccess(access), expires }
      })
      if ('password' in user) ledger.log.info({ user: name, access: user.access, expires, by }, 'Added a user')
      return user
    },

    async changePassword(name, given, by) {
      const refusal = refusalIn(ledger, [given === undefined ? undefined : passwordRefusal(given)])
      if (refusal !== undefined) return refusal
      const { password, passwordHash } = await makeSecret(given)
      const user = await ledger.change((draft): NewUser => {
        const record = requireRecord(ledger, draft, name)
        record.passwordHash = passwordHash
        return { name, password, access: record.access, expires: viewOf(ledger, record).expires }
      })
      if ('password' in user) ledger.log.info({ user: name, by }, 'Changed the password of a user')
      return user
    },

    async changeAccess(name, access, by) {
      const user = await ledger.change((draft) => {
        refuseIf(accessRefusal(access, ledger.config.hasDepot))
        const record = requireRecord(ledger, draft, name)
        record.access = sortAccess(access)
        return viewOf(ledger, record)
      })
      if ('name' in user) ledger.log.info({ user: name, access: user.access, by }, 'Changed the access of a user')
      return user
    },

    async changeExpiry(name, expires, by) {
      const user = await ledger.change((draft) => {
        refuseIf(expiryRefusal(expires, ledger.now))
        const record = requireRecord(ledger, draft, name)
        if (expires === undefined) delete record.expires
        else record.expires = expires.toISOString()
        return viewOf(ledger, record)
      })
      if ('name' in user) ledger.log.info({ user: name, expires, by }, 'Changed the expiry of a user')
      return user
    },

    async remove(name, by) {
      const user = await ledger.change((draft) => {
        const record = requireRecord(ledger, draft, name)
        draft.users = draft.users.filter((one) => one !== record)
        return viewOf(ledger, record)
      })
      if ('name' in user) ledger.log.info({ user: name, by }, 'Removed a user')
      return user
    },
  }
}

/** Checked before a password is hashed, which takes a while; most is checked again when the change is made. */
function refusalIn(ledger: TeamLedger, checks: readonly (string | undefined)[]): TeamRefusal | undefined {
  const reason = [ledger.impediment, ...checks].find((one) => one !== undefined)
  return reason === undefined ? undefined : { status: 'refused', reason }
}

export function viewOf(ledger: TeamLedger, record: UserRecord, activityOf = ledger.readActivity()): TeamUser {
  return toTeamUser(record, {
    isChangeable: ledger.impediment === undefined,
    activity: activityOf(record.name),
    now: ledger.now,
  })
}

function requireRecord(ledger: TeamLedger, draft: TeamContent, name: string): UserRecord {
  const record = draft.users.find((user) => user.name === name)
  if (record !== undefined) return record
  if (!ledger.isInConfig(name)) throw new Refused(`There is no user "${name}"; "burrow user list" shows the users`)
  throw new Refused(
    ledger.config.source === 'generated'
      ? `Cannot change user "${name}", which Burrow made at its first start; to use named users only, write a config with "users": [], and restart Burrow`
      : `Cannot change user "${name}": it is a user of the config; change it there, and reload Burrow`,
  )
}

export function requireFree(ledger: TeamLedger, draft: TeamContent, name: string): void {
  if (ledger.isInConfig(name))
    throw new Refused(
      ledger.config.source === 'generated'
        ? `There is a user "${name}" already, which Burrow made at its first start; choose another name`
        : `There is a user "${name}" in the config already; choose another name`,
    )
  if (draft.users.some((user) => user.name === name))
    throw new Refused(
      `There is a user "${name}" already; "burrow user password", "access" and "expire" change it, "burrow user remove" removes it`,
    )
  if (draft.users.length >= maxUsers) throw new Refused(`There are ${maxUsers} users already; remove some first`)
}

export interface UserWish {
  readonly name: string
  readonly access: readonly Access[]
  readonly expires: Date | undefined
}

export function newRecord(
  { name, access, expires }: UserWish,
  { passwordHash, source, now, by }: { passwordHash: string; source: UserRecord['source']; now: Date; by: string },
): UserRecord {
  return {
    name,
    passwordHash,
    access: sortAccess(access),
    ...(expires && { expires: expires.toISOString() }),
    source,
    added: now.toISOString(),
    addedBy: by,
  }
}
