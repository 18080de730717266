/**
 * What must hold between settings. It looks at the document itself, whatever else is wrong with it, so that everything
 * can be told at once.
 */
import { isObject, type Problem, toPointer, valueAt } from './problem.ts'

const secretKeys = ['password', 'passwordHash', 'passwordFile'] as const

export function findCrossProblems(document: unknown): Problem[] {
  if (!isObject(document) || Array.isArray(document)) return []
  const { users } = document
  return [
    ...(Array.isArray(users) ? [...secretProblems(users), ...nameProblems(users)] : []),
    ...publicProblems(document, users),
    ...depotProblems(document, users),
    ...keyNameProblems(document),
    ...listenerProblems(document),
    ...tunnelProblems(document),
  ]
}

function secretProblems(users: readonly unknown[]): Problem[] {
  return users.flatMap((user, index) => {
    if (!isObject(user) || Array.isArray(user)) return []
    const given = secretKeys.filter((key) => key in user)
    if (given.length === 1) return []
    const message = given.length === 0 ? 'has no password' : `has ${given.map((key) => `"${key}"`).join(' and ')}`
    return [
      {
        pointer: toPointer(['users', index]),
        message,
        remedy: 'give exactly one of "password", "passwordHash" and "passwordFile"',
      },
    ]
  })
}

function nameProblems(users: readonly unknown[]): Problem[] {
  const firstByName = new Map<string, number>()
  return users.flatMap((user, index) => {
    const isText = typeof user === 'string'
    const name = isText ? user.split(':')[0] : valueAt(user, ['name'])
    if (typeof name !== 'string' || name === '') return []
    const first = firstByName.get(name)
    if (first === undefined) {
      firstByName.set(name, index)
      return []
    }
    const pointer = toPointer(isText ? ['users', index] : ['users', index, 'name'])
    return [
      {
        pointer,
        message: `has the name "${name}", which /users/${first} has already`,
        remedy: 'give each user a name of its own',
      },
    ]
  })
}

function publicProblems(document: unknown, users: unknown): Problem[] {
  const isPublic = valueAt(document, ['public'])
  const hasUsers = Array.isArray(users) && users.length > 0
  const problems: Problem[] = []
  if (isPublic === true && hasUsers) {
    problems.push({
      pointer: '/public',
      message: 'is true although there are users, so no password would be asked for',
      remedy: 'remove "public" or "users"',
    })
  }
  const isMutable = valueAt(document, ['mutableUsers']) !== false
  if (isPublic !== true && users === undefined) {
    problems.push({
      pointer: '',
      message: 'names no users',
      remedy:
        'add a user, say "users": [] to add users with "burrow user add" only, or "public": true to let everybody pull',
    })
  }
  if (isPublic !== true && !isMutable && Array.isArray(users) && !hasUsers) {
    problems.push({
      pointer: '/users',
      message: 'is empty, and "mutableUsers" is false, so there can be no user',
      remedy: 'add a user, remove "mutableUsers", or say "public": true to let everybody pull',
    })
  }
  if (isPublic !== true && valueAt(document, ['edgeCache']) === 'allow') {
    problems.push({
      pointer: '/edgeCache',
      message: 'is "allow" for a private cache, whose contents would stay at the edge',
      remedy: 'remove it, or make the cache public',
    })
  }
  return problems
}

/** Without a depot there is nowhere to push to, and the user would see each push fail. */
function depotProblems(document: unknown, users: unknown): Problem[] {
  if (valueAt(document, ['depot']) !== false || !Array.isArray(users)) return []
  return users.flatMap((user, index) => {
    const access = valueAt(user, ['access'])
    if (!Array.isArray(access) || !access.includes('push')) return []
    const name = valueAt(user, ['name'])
    return [
      {
        pointer: toPointer(['users', index, 'access']),
        message: `lets user "${String(name)}" push, but "depot" is false, so nothing can be pushed`,
        remedy: 'remove "push" here, or set "depot": true',
      },
    ]
  })
}

function keyNameProblems(document: unknown): Problem[] {
  const keyFiles = valueAt(document, ['signing', 'keyFiles'])
  if (valueAt(document, ['signing', 'name']) === undefined || !Array.isArray(keyFiles) || keyFiles.length === 1)
    return []
  const message =
    keyFiles.length === 0
      ? 'names a key where there is none'
      : `gives ${keyFiles.length} keys one name, and clients would know only one of them`
  return [{ pointer: '/signing/name', message, remedy: 'remove it, or keep a single key' }]
}

function listenerProblems(document: unknown): Problem[] {
  const operator = valueAt(document, ['operator'])
  const listen = valueAt(document, ['listen']) ?? '127.0.0.1:8080'
  if (typeof operator !== 'string' || operator !== listen || operator.endsWith(':0')) return []
  return [{ pointer: '/operator', message: 'is the same as "listen"', remedy: 'choose another port' }]
}

/** Settings that one mode needs and the others cannot use. */
const tunnelSecrets = ['token', 'tokenFile', 'credentialsFile'] as const
const ofMode: Readonly<Record<string, readonly string[]>> = {
  off: [],
  quick: [],
  token: ['token', 'tokenFile'],
  credentials: ['credentialsFile'],
}

function tunnelProblems(document: unknown): Problem[] {
  const tunnel = valueAt(document, ['tunnel'])
  const mode = valueAt(tunnel, ['mode'])
  if (!isObject(tunnel) || typeof mode !== 'string' || ofMode[mode] === undefined) return []
  const wanted = ofMode[mode]
  const given = tunnelSecrets.filter((name) => name in tunnel)
  const problems: Problem[] = given
    .filter((name) => !wanted.includes(name))
    .map((name) => ({
      pointer: `/tunnel/${name}`,
      message: `is of no use in mode "${mode}"`,
      remedy: `remove it, or set "mode": "${modeOf(name)}"`,
    }))
  const fitting = given.filter((name) => wanted.includes(name))
  if (wanted.length > 0 && fitting.length !== 1) {
    const names = wanted.map((name) => `"${name}"`).join(' and ')
    const message =
      fitting.length === 0 ? `has mode "${mode}" and no ${names.replace(' and ', ' or ')}` : `has ${names}`
    problems.push({ pointer: '/tunnel', message, remedy: `give ${wanted.length === 1 ? names : `one of ${names}`}` })
  }
  if (mode === 'credentials' && tunnel.hostname === undefined)
    problems.push({
      pointer: '/tunnel',
      message: 'has mode "credentials" and no "hostname"',
      remedy: 'name the host that clients reach, such as "cache.example.org"',
    })
  if (mode === 'quick' && tunnel.hostname !== undefined)
    problems.push({
      pointer: '/tunnel/hostname',
      message: 'cannot be chosen in mode "quick"',
      remedy: 'remove it, or make a tunnel of your own and use mode "token"',
    })
  return problems
}

function modeOf(secret: (typeof tunnelSecrets)[number]): string {
  return secret === 'credentialsFile' ? 'credentials' : 'token'
}
