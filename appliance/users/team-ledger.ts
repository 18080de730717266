/**
 * The content of the users file in memory, and how it is changed: each change is checked against the file as it is then,
 * written to it whole, and put in force, one after the other. A crash leaves either all of a change or none.
 */
import type { Log, TeamRefusal, User, UserActivity } from '../../src/index.ts'
import { Complaint, reasonOf, systemCodeOf } from '../complaint.ts'
import type { PrivateDocument } from '../state/private-document.ts'
import { usersFile } from '../state/state-dir.ts'
import { hashPassword } from './password-hash.ts'
import { createPassword } from './random-text.ts'
import { emptyTeam, type InvitationRecord, type TeamContent } from './team-document.ts'
import type { BaseUser } from './team-view.ts'

/** What the config says, now: a reload changes it. */
export interface TeamConfig {
  /** Undefined: the cache is public. */
  readonly users: readonly (BaseUser | User)[] | undefined
  readonly source: 'config' | 'generated'
  /** "mutableUsers" */
  readonly isMutable: boolean
  readonly hasDepot: boolean
}

export interface TeamOptions {
  readonly document: PrivateDocument<TeamContent>
  readonly config: () => TeamConfig
  /** By name, as it is now. */
  readonly readActivity: () => (name: string) => UserActivity | undefined
  readonly now: () => Date
  readonly log: Log
  /** The users have changed: puts them in force. */
  readonly onChange: () => void
}

/** Used and expired invitations are listed for so long. */
const keepClosedMs = 30 * 86_400_000

/** Ends a change without writing. */
export class Refused extends Error {
  readonly refusal: TeamRefusal

  constructor(reason: string) {
    super(reason)
    this.refusal = { status: 'refused', reason }
  }
}

export function refuseIf(reason: string | undefined): void {
  if (reason !== undefined) throw new Refused(reason)
}

export class TeamLedger {
  readonly #options: TeamOptions
  #content: TeamContent
  #last: Promise<unknown> = Promise.resolve()

  private constructor(options: TeamOptions, content: TeamContent) {
    this.#options = options
    this.#content = content
  }

  /** @throws {Complaint} state: the file is damaged */
  static async open(options: TeamOptions): Promise<TeamLedger> {
    return new TeamLedger(options, await read(options.document))
  }

  /** As stored and in force. */
  get content(): TeamContent {
    return this.#content
  }

  get now(): Date {
    return this.#options.now()
  }

  get config(): TeamConfig {
    return this.#options.config()
  }

  get log(): Log {
    return this.#options.log
  }

  readActivity(): (name: string) => UserActivity | undefined {
    return this.#options.readActivity()
  }

  isInConfig(name: string): boolean {
    return this.config.users?.some((user) => user.name === name) === true
  }

  /** Why nothing can be changed. */
  get impediment(): string | undefined {
    const { users, isMutable } = this.config
    if (users === undefined)
      return 'This cache is public: everyone may pull without a password, and there are no users. To have users, replace "public" in the config by "users": [], and reload Burrow'
    return isMutable
      ? undefined
      : '"mutableUsers" is false in the config, so users are changed there only; remove that setting to change them here'
  }

  /**
   * `edit` sees the file as it is, and may throw Refused. What it returns is returned when it is stored and in force.
   * @throws {Complaint} state: it cannot be stored
   */
  change<T>(edit: (draft: TeamContent) => T): Promise<T | TeamRefusal> {
    return this.#inOrder(async () => {
      let result: T
      try {
        this.#content = await this.#options.document.update((draft) => {
          refuseIf(this.impediment)
          draft.invitations = draft.invitations.filter((one) => isWorthKeeping(one, this.now))
          result = edit(draft)
        })
      } catch (error) {
        if (error instanceof Refused) return error.refusal
        throw toComplaint(error)
      }
      this.#options.onChange()
      return result!
    })
  }

  /** @throws {Complaint} state: the file is damaged; nothing changes */
  reload(): Promise<void> {
    return this.#inOrder(async () => {
      this.#content = await read(this.#options.document)
    })
  }

  #inOrder<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work)
    this.#last = done.catch(() => {})
    return done
  }
}

async function read(document: PrivateDocument<TeamContent>): Promise<TeamContent> {
  try {
    return (await document.find()) ?? emptyTeam()
  } catch (error) {
    if (error instanceof Complaint || systemCodeOf(error) === undefined) throw error
    throw new Complaint(
      'state',
      `Cannot read "${usersFile}" in the state directory: ${reasonOf(error)}; make sure that the user who runs Burrow owns it`,
      { cause: error },
    )
  }
}

function toComplaint(error: unknown): unknown {
  if (error instanceof Complaint || systemCodeOf(error) === undefined) return error
  return new Complaint('state', `Cannot store the change of users: ${reasonOf(error)}; nothing was changed`, {
    cause: error,
  })
}

export function isWorthKeeping({ used, expires }: InvitationRecord, now: Date): boolean {
  return Date.parse(used ?? expires) > now.getTime() - keepClosedMs
}

/** The given password, or a new one, and its hash. */
export async function makeSecret(
  given: string | undefined,
): Promise<{ readonly password: string; readonly passwordHash: string }> {
  const password = given ?? createPassword()
  return { password, passwordHash: await hashPassword(password) }
}
