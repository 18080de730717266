/** What is refused when users are added or changed, in words that can be shown to whoever asked. */
import { type Access, accessKinds, printable } from '../../src/index.ts'
import { minPasswordLength, passwordFault } from '../config/users-schema.ts'

/** Each user is in memory, and the file is written whole. */
export const maxUsers = 2000
export const maxOpenInvitations = 200
export const defaultValidMs = 48 * 3_600_000
const minValidMs = 60_000
const maxValidMs = 90 * 86_400_000
/** A name of an added user needs no quoting in netrc and in shells, and is the first part of its pins' names. */
const nameForm = /^[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}$/

export function nameRefusal(name: string): string | undefined {
  return nameForm.test(name)
    ? undefined
    : `Cannot use the name "${printable(name, 80)}": it must have at most 64 letters, digits, ".", "_", "@", "+" and "-", and begin with a letter or a digit`
}

export function passwordRefusal(password: string): string | undefined {
  const fault = passwordFault(password)
  if (fault !== undefined) return `Cannot use this password: it ${fault[0]}; ${fault[1]}`
  return password.length < minPasswordLength
    ? `Cannot use this password: it has fewer than ${minPasswordLength} characters; choose a longer one`
    : undefined
}

export function accessRefusal(access: readonly Access[], hasDepot: boolean): string | undefined {
  if (access.length === 0)
    return 'Cannot change the access to nothing: name "pull", "push" or "admin", or remove the user'
  return access.includes('push') && !hasDepot
    ? 'Cannot give the access "push": this Burrow has no depot; set "depot": true in the config, and restart Burrow'
    : undefined
}

export function expiryRefusal(expires: Date | undefined, now: Date): string | undefined {
  return expires !== undefined && !(expires.getTime() > now.getTime())
    ? 'Cannot use this time of expiry: it has passed; to refuse a user now, remove it'
    : undefined
}

export function validityRefusal(validMs: number): string | undefined {
  return validMs >= minValidMs && validMs <= maxValidMs
    ? undefined
    : 'Cannot make an invitation that is valid for this time: use one from one minute to 90 days'
}

/** In a fixed order, each once. */
export function sortAccess(access: readonly Access[]): Access[] {
  return accessKinds.filter((one) => access.includes(one))
}
