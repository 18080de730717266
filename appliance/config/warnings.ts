/** Warnings about a valid config. */
import { statSync } from 'node:fs'

import type { Config } from './config.ts'
import { expandEnv } from './expand-env.ts'
import { isObject } from './problem.ts'
import { minPasswordLength } from './users-schema.ts'

const firstUnprivilegedPort = 1024

export function findWarnings(file: string | undefined, document: unknown, { access, listen }: Config): string[] {
  const users = access.kind === 'users' ? access.users : []
  return [
    ...(file === undefined ? [] : exposureWarnings(file, document)),
    ...users.flatMap(({ pointer, name, secret }) =>
      secret.kind === 'plain' && secret.password.length < minPasswordLength
        ? [
            `${pointer}: the password of user "${name}" has fewer than ${minPasswordLength} characters; choose a longer one, or use "burrow hash-password"`,
          ]
        : [],
    ),
    ...(listen.kind === 'tcp' && listen.port > 0 && listen.port < firstUnprivilegedPort
      ? [
          `/listen: ports below ${firstUnprivilegedPort} need a privilege that the systemd service does not have; use a higher port, since the tunnel can reach any`,
        ]
      : []),
  ]
}

/** A password from the environment is not in the file, so it is not exposed. */
function exposureWarnings(file: string, document: unknown): string[] {
  if ((statSync(file).mode & 0o077) === 0) return []
  const users = isObject(document) && Array.isArray(document.users) ? document.users : []
  const hasPasswords = users.some((user) => {
    const text = typeof user === 'string' ? user : isObject(user) ? user.password : undefined
    return typeof text === 'string' && expandEnv(text, 'unknown').unknownPointers.size === 0
  })
  return hasPasswords
    ? [
        `Config "${file}" contains passwords and can be read by other users of this machine; run "chmod 600 ${file}", or use passwordHash or passwordFile`,
      ]
    : []
}
