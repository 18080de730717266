/** Pins: a name keeps the paths of its last revisions, and all that these refer to. */
import type { Records } from './sqlite/records.ts'
import { Refused } from './types.ts'

export interface PinRequest {
  readonly name: string
  readonly keepLast: number
  readonly expiresAt?: number | undefined
  readonly storePaths: readonly string[]
  readonly user: string
}

export interface Pin {
  readonly name: string
  readonly keepLast: number
  readonly expiresAt: number | undefined
  /** The newest first. */
  readonly revisions: readonly { readonly at: number; readonly user: string; readonly storePaths: readonly string[] }[]
}

const pattern = /^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}(?:\/[A-Za-z0-9][A-Za-z0-9._+-]{0,63}){0,3}$/

export function isPinName(text: string): boolean {
  return pattern.test(text)
}

/** Users may write pins below their own name, administrators all. */
export function mayWritePin(name: string, user: string | undefined, isAdmin: boolean): boolean {
  return isAdmin || (user !== undefined && name.startsWith(`${user}/`))
}

/** Inside a transaction: a new revision, and the end of those beyond `keepLast`. */
export function setPin(records: Records, pin: PinRequest, at: number): void {
  records.writePin(pin.name, pin.keepLast, pin.expiresAt)
  records.addRevision(pin.name, pin.storePaths, pin.user, at)
  records.dropRevisions(pin.name, pin.keepLast)
  records.addEvent('pin', { user: pin.user }, at, {
    detail: JSON.stringify({ name: pin.name, paths: pin.storePaths.length }),
  })
}

/** As `setPin`, for paths that must be here. @throws {Refused} */
export function putPin(records: Records, pin: PinRequest, at: number): 'stored' {
  const missing = pin.storePaths.find((storePath) => !records.hasPath(storePath))
  if (missing !== undefined)
    throw new Refused('missing-reference', `${missing} is not here: push it before it is pinned`)
  setPin(records, pin, at)
  return 'stored'
}

/** False when there was none. */
export function removePin(
  records: Records,
  { name, user }: { readonly name: string; readonly user: string },
  at: number,
): boolean {
  const wasThere = records.removePin(name)
  if (wasThere) records.addEvent('unpin', { user }, at, { detail: JSON.stringify({ name }) })
  return wasThere
}
