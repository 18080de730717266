/** Makes, revokes and accepts invitations. An accepted invitation and its user are written at once. */
import { randomUUID } from 'node:crypto'

import type { NewUser, Team } from '../../src/index.ts'
import { createToken, hashToken } from './invitation-token.ts'
import type { InvitationRecord, TeamContent } from './team-document.ts'
import { makeSecret, Refused, refuseIf, type TeamLedger } from './team-ledger.ts'
import {
  accessRefusal,
  defaultValidMs,
  expiryRefusal,
  maxOpenInvitations,
  maxUsers,
  nameRefusal,
  sortAccess,
  validityRefusal,
} from './team-rules.ts'
import { isOpen, toInvitation } from './team-view.ts'
import { newRecord, requireFree } from './user-changes.ts'

type InvitationChanges = Pick<Team, 'invite' | 'revoke' | 'findInvitation' | 'accept'>

export function createInvitationChanges(ledger: TeamLedger): InvitationChanges {
  return {
    async invite({ name, access, userExpires, validMs = defaultValidMs }, by) {
      const token = createToken()
      const issued = await ledger.change((draft) => {
        refuseIf(nameRefusal(name) ?? accessRefusal(access, ledger.config.hasDepot) ?? validityRefusal(validMs))
        refuseIf(expiryRefusal(userExpires, ledger.now))
        requireFree(ledger, draft, name)
        requireNoInvitation(draft, name, ledger.now)
        const expiresMs = Math.min(ledger.now.getTime() + validMs, userExpires?.getTime() ?? Number.POSITIVE_INFINITY)
        const record: InvitationRecord = {
          id: randomUUID(),
          name,
          tokenHash: hashToken(token)!,
          access: sortAccess(access),
          ...(userExpires && { userExpires: userExpires.toISOString() }),
          created: ledger.now.toISOString(),
          createdBy: by,
          expires: new Date(expiresMs).toISOString(),
        }
        draft.invitations.push(record)
        return { invitation: toInvitation(record, ledger.now), token }
      })
      if ('token' in issued) ledger.log.info({ user: name, access: issued.invitation.access, by }, 'Invited a user')
      return issued
    },

    async revoke(id, by) {
      const invitation = await ledger.change((draft) => {
        const record = draft.invitations.find((one) => one.id === id)
        if (record === undefined)
          throw new Refused('There is no such invitation; "burrow invitations" shows the invitations')
        draft.invitations = draft.invitations.filter((one) => one !== record)
        return toInvitation(record, ledger.now)
      })
      if ('id' in invitation) ledger.log.info({ user: invitation.name, by }, 'Revoked an invitation')
      return invitation
    },

    findInvitation(token) {
      const found = findOpen(ledger, ledger.content, token)
      return found && toInvitation(found, ledger.now)
    },

    async accept(token) {
      if (findOpen(ledger, ledger.content, token) === undefined) return undefined
      const { password, passwordHash } = await makeSecret(undefined)
      const user = await ledger.change((draft): NewUser => {
        const record = findOpen(ledger, draft, token)
        if (record === undefined || draft.users.length >= maxUsers) throw new Refused('')
        const { name, access } = record
        const expires = record.userExpires === undefined ? undefined : new Date(record.userExpires)
        const origin = { passwordHash, source: 'invited', now: ledger.now, by: record.createdBy } as const
        draft.users.push(newRecord({ name, access, expires }, origin))
        record.used = ledger.now.toISOString()
        delete record.tokenHash
        return { name, password, access, expires }
      })
      if (!('password' in user)) return undefined
      ledger.log.info({ user: user.name, access: user.access }, 'A user has accepted an invitation')
      return user
    },
  }
}

/** A name that was taken meanwhile makes the invitation useless. */
function findOpen(
  ledger: TeamLedger,
  { invitations, users }: TeamContent,
  token: string,
): InvitationRecord | undefined {
  const tokenHash = hashToken(token)
  if (tokenHash === undefined || ledger.impediment !== undefined) return undefined
  const found = invitations.find((one) => one.tokenHash === tokenHash && isOpen(one, ledger.now))
  if (found === undefined || ledger.isInConfig(found.name)) return undefined
  return users.some(({ name }) => name === found.name) ? undefined : found
}

function requireNoInvitation(draft: TeamContent, name: string, now: Date): void {
  const open = draft.invitations.filter((one) => isOpen(one, now))
  if (open.some((one) => one.name === name))
    throw new Refused(
      `There is an open invitation for "${name}" already; revoke it first with "burrow uninvite ${name}"`,
    )
  if (open.length >= maxOpenInvitations)
    throw new Refused(`There are ${maxOpenInvitations} open invitations already; revoke some first`)
}
