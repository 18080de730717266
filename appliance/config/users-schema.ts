/** The setting "users". */
import * as z from 'zod'

import { accessKinds } from '../../src/index.ts'
import { controlCharacters, path, text } from './text.ts'

const access = z.enum(accessKinds)

const userName = () =>
  text((value) => {
    if (value === '') return ['is empty', 'give the user a name']
    if (value.includes(':')) return ['has a colon, which ends the name in HTTP basic auth', 'choose a name without one']
    if (controlCharacters.test(value))
      return ['has a control character, which HTTP basic auth cannot carry', 'remove it']
    return undefined
  })

const password = () => text(passwordFault)

const hashForm = /^\$(?:argon2(?:id|i|d)|apr1|2[abxy]?|[156y]|gy|7|scrypt|pbkdf2[a-z0-9-]*)\$/

export function passwordFault(value: string): readonly [message: string, remedy: string] | undefined {
  if (value.startsWith('$argon2id$')) return ['is an argon2id hash, not a password', 'give it as "passwordHash"']
  if (hashForm.test(value))
    return [
      'is a password hash of a type that Burrow does not support',
      'make an argon2id hash with "burrow hash-password" and give it as "passwordHash"',
    ]
  if (hashForm.test(value.slice(value.indexOf(':') + 1)))
    return [
      'is a line of an htpasswd file ("name:hash"), not a password',
      'give the password alone, or make a hash with "burrow hash-password" and give it as "passwordHash"',
    ]
  if (value === '') return ['is an empty password', 'give one, or remove the user']
  if (controlCharacters.test(value))
    return ['has a control character, which HTTP basic auth cannot carry', 'choose a password without one']
  return undefined
}

/** Shorter passwords can be guessed within hours, even with a slow hash. */
export const minPasswordLength = 8

const passwordHash = () =>
  text((value) => {
    const memoryKib =
      /^\$argon2id\$v=19\$m=(\d{1,8}),t=\d{1,4},p=\d{1,2}\$[A-Za-z0-9+/]{11,}\$[A-Za-z0-9+/]{16,}$/.exec(value)?.[1]
    if (/^\$2[abxy]?\$/.test(value))
      return ['is a bcrypt hash; only argon2id is supported', 'make one with "burrow hash-password"']
    if (memoryKib === undefined || value.length > 127)
      return ['is not an argon2id hash', 'make one with "burrow hash-password"']
    if (Number(memoryKib) > 1024 * 1024)
      return ['needs more than 1 GiB of memory for each check', 'make one with "burrow hash-password"']
    return undefined
  })

const userObject = z
  .strictObject({
    name: userName().describe('The name in the netrc entry\'s "login". No colon. Unique.'),
    password: password()
      .optional()
      .describe('The password in plain text. Prefer "${NAME}" from the environment, "passwordFile" or "passwordHash".'),
    passwordHash: passwordHash()
      .optional()
      .describe('An argon2id hash of the password, as "burrow hash-password" prints it.'),
    passwordFile: path()
      .optional()
      .describe(
        'A file that contains the password; one line break at its end is ignored. "$CREDENTIALS_DIRECTORY/name" works under systemd.',
      ),
    access: z
      .array(access)
      .min(1)
      .default(['pull'])
      .describe('What the user may do: "pull" paths, "push" paths, or "admin".'),
    expires: z.iso
      .datetime({ offset: true })
      .optional()
      .describe('Expiry time (ISO 8601 with a zone, "2027-01-31T00:00:00Z"). The user is refused after it.'),
  })
  .meta({ oneOf: [{ required: ['password'] }, { required: ['passwordHash'] }, { required: ['passwordFile'] }] })

const userText = text((value) => {
  const colon = value.indexOf(':')
  if (colon < 1)
    return ['is not of the form "name:password"', 'use that form, or an object with "name" and "passwordFile"']
  if (controlCharacters.test(value)) return ['has a control character, which HTTP basic auth cannot carry', 'remove it']
  return passwordFault(value.slice(colon + 1))
})

export const users = z
  .array(z.union([userText, userObject]))
  .describe('Who may use the cache: objects, or "name:password".')
