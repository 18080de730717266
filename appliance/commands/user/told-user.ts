/** Users and invitations as the running Burrow sends them (operator/team-routes.ts): dates are texts. */

export interface ToldUser {
  readonly name: string
  readonly access: readonly string[]
  readonly expires?: string
  readonly isExpired: boolean
  readonly source: string
  readonly added?: string
  readonly addedBy?: string
  readonly activity?: {
    readonly lastSeen: string
    readonly requests: number
    readonly sentBytes: number
    readonly receivedBytes: number
    readonly address?: string
  }
}

export interface ToldInvitation {
  readonly id: string
  readonly name: string
  readonly access: readonly string[]
  readonly userExpires?: string
  readonly created: string
  readonly createdBy: string
  readonly expires: string
  readonly state: string
  readonly used?: string
}

export interface ToldTeam {
  readonly impediment: string | null
  readonly users: readonly ToldUser[]
  readonly invitations: readonly ToldInvitation[]
}

/** A user with a password that is shown once. */
export interface ToldNewUser {
  readonly name: string
  readonly password: string
  readonly access: readonly string[]
  readonly expires?: string
  readonly url?: string
}
