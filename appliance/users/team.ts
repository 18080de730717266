/**
 * Users that are added while Burrow runs, and invitations: the appliance's side of `src/http/team.ts`.
 */
import type { Team, User } from '../../src/index.ts'
import { createInvitationChanges } from './invitation-changes.ts'
import { isWorthKeeping, TeamLedger, type TeamOptions } from './team-ledger.ts'
import { toBaseTeamUser, toInvitation, toUser } from './team-view.ts'
import { createUserChanges, viewOf } from './user-changes.ts'

export interface OpenTeam extends Team {
  /** Those of the file, for the verifier; none if the config allows none. */
  readonly added: readonly User[]
  /** Names of added users that the config has too: its users win. */
  readonly shadowed: readonly string[]
  /** Reads the file again. @throws {Complaint} state: it is damaged; nothing changes */
  reload(): Promise<void>
}

/** @throws {Complaint} state: the file is damaged */
export async function openTeam(options: TeamOptions): Promise<OpenTeam> {
  const ledger = await TeamLedger.open(options)
  return {
    ...createUserChanges(ledger),
    ...createInvitationChanges(ledger),
    get impediment() {
      return ledger.impediment
    },
    get added() {
      return ledger.impediment === undefined ? ledger.content.users.map(toUser) : []
    },
    get shadowed() {
      return ledger.content.users.map(({ name }) => name).filter((name) => ledger.isInConfig(name))
    },
    users() {
      const { now } = ledger
      const { users = [], source } = ledger.config
      const activityOf = ledger.readActivity()
      const base = users.map((user) => toBaseTeamUser(user, source, { activity: activityOf(user.name), now }))
      const added = ledger.content.users.filter(({ name }) => !ledger.isInConfig(name))
      return [...base, ...added.map((record) => viewOf(ledger, record, activityOf))].sort(byName)
    },
    invitations() {
      const { now } = ledger
      return ledger.content.invitations
        .filter((one) => isWorthKeeping(one, now))
        .map((one) => toInvitation(one, now))
        .sort((a, b) => b.created.getTime() - a.created.getTime())
    },
    reload: () => ledger.reload(),
  }
}

const byName = (a: { readonly name: string }, b: { readonly name: string }) =>
  a.name < b.name ? -1 : a.name > b.name ? 1 : 0
