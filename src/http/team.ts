/**
 * The users that are added while the cache runs, and the invitations for new ones: what pages and `/join/<token>` need.
 * The appliance implements it, and keeps both in its state. Users of the config are listed too, but cannot be changed
 * here.
 *
 * A change resolves when it is stored and in force. A refusal is a value: its `reason` says what to do, and may be shown
 * to whoever asked for the change. A rejection means that the change could not be stored.
 */
import { Fault } from '../faults.ts'
import type { Access } from './auth/user.ts'

/**
 * Where a user comes from. `config`: the config file. `generated`: made at the first start, without a config. `added`:
 * by a command or a page. `invited`: by an invitation.
 */
export type UserSource = 'config' | 'generated' | 'added' | 'invited'

/** What is known of a user's requests. Since when it is counted depends on the implementation. */
export interface UserActivity {
  readonly lastSeen: Date
  readonly requests: number
  /** Body bytes. */
  readonly sentBytes: number
  readonly receivedBytes: number
  /** An IP address, or `local`; undefined if addresses are not kept. */
  readonly address: string | undefined
}

export interface TeamUser {
  readonly name: string
  readonly access: readonly Access[]
  readonly expires: Date | undefined
  readonly isExpired: boolean
  readonly source: UserSource
  /** False for users of the config, and for all if the config allows no changes. */
  readonly isChangeable: boolean
  /** Undefined for users whose date is not known. */
  readonly added: Date | undefined
  /** Who added or invited this user. */
  readonly addedBy: string | undefined
  /** Undefined if no request is known. */
  readonly activity: UserActivity | undefined
}

/** `open`: it can be accepted. `used` and `expired` ones are listed for some time. A revoked one is removed. */
export type InvitationState = 'open' | 'used' | 'expired'

export interface Invitation {
  /** For `revoke`; not the token, and not secret. */
  readonly id: string
  /** Name of the user that it will make. */
  readonly name: string
  readonly access: readonly Access[]
  /** When the user will expire. */
  readonly userExpires: Date | undefined
  readonly created: Date
  readonly createdBy: string
  /** When the invitation expires. */
  readonly expires: Date
  readonly state: InvitationState
  readonly used: Date | undefined
}

export interface InvitationWish {
  readonly name: string
  readonly access: readonly Access[]
  readonly userExpires: Date | undefined
  /** For how long it can be accepted; undefined for the default, 48 hours. */
  readonly validMs: number | undefined
}

export interface IssuedInvitation {
  readonly invitation: Invitation
  /** For the link `https://cache…/join/<token>`. It is not stored: this is the only time that it is known. */
  readonly token: string
}

/** A user that was just made. The password is not stored: this is the only time that it is known. */
export interface NewUser {
  readonly name: string
  readonly password: string
  readonly access: readonly Access[]
  readonly expires: Date | undefined
}

export interface TeamRefusal {
  readonly status: 'refused'
  readonly reason: string
}

/** `by`: the name of the user who makes the change; it is logged. */
export interface Team {
  /** Undefined if users can be added and changed; otherwise why not, for people. */
  readonly impediment: string | undefined
  /** By name. */
  users(): readonly TeamUser[]
  /** Newest first. */
  invitations(): readonly Invitation[]
  /** With a password, that one is used; without, one is made. */
  add(user: {
    readonly name: string
    readonly access: readonly Access[]
    readonly expires: Date | undefined
    readonly password: string | undefined
    readonly by: string
  }): Promise<NewUser | TeamRefusal>
  /** The new password, made if none is given. */
  changePassword(name: string, password: string | undefined, by: string): Promise<NewUser | TeamRefusal>
  changeAccess(name: string, access: readonly Access[], by: string): Promise<TeamUser | TeamRefusal>
  /** Undefined: never. */
  changeExpiry(name: string, expires: Date | undefined, by: string): Promise<TeamUser | TeamRefusal>
  /** The user is refused from the next request on. */
  remove(name: string, by: string): Promise<TeamUser | TeamRefusal>
  invite(wish: InvitationWish, by: string): Promise<IssuedInvitation | TeamRefusal>
  /** Also removes a used or expired one from the list. */
  revoke(id: string, by: string): Promise<Invitation | TeamRefusal>
  /** The open invitation of a token; undefined for everything else. Changes nothing, takes no time. */
  findInvitation(token: string): Invitation | undefined
  /** Makes the user, once: of several calls, one gets it. Undefined as with `findInvitation`. */
  accept(token: string): Promise<NewUser | undefined>
}

export function isRefusal(outcome: object | undefined): outcome is TeamRefusal {
  return outcome !== undefined && 'status' in outcome && outcome.status === 'refused'
}

/** @throws {Fault} users-unwritable: the change could not be stored */
export async function untilStored<Done>(change: Promise<Done>): Promise<Done> {
  try {
    return await change
  } catch (cause) {
    throw new Fault('users-unwritable', (cause as Error).message, { cause })
  }
}
