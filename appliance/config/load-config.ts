/**
 * From the file to the frozen configuration: read, `JSON.parse`, expand variables in string values, check, resolve,
 * freeze. Which file: `--config`, else `$BURROW_CONFIG`, else `burrow.json` in the working directory, else none (the
 * defaults hold).
 */
import { readFileSync, statSync } from 'node:fs'
import { dirname, relative, resolve } from 'node:path'

import { Complaint, reasonOf, systemCodeOf } from '../complaint.ts'
import type { Machine } from '../machine.ts'
import type { Config } from './config.ts'
import { findCrossProblems } from './cross-check.ts'
import { expandEnv } from './expand-env.ts'
import { parseJsonText } from './json-text.ts'
import { formatProblems, isObject, type Problem } from './problem.ts'
import { resolveConfig } from './resolve.ts'
import { configSchema, minPasswordLength } from './schema.ts'
import { toProblems } from './zod-problems.ts'

export interface ConfigSource {
  readonly machine: Pick<Machine, 'env' | 'workingDir' | 'homeDir'>
  /** What `--config` said. */
  readonly file?: string | undefined
  /** What other options of the command line said; they win over the file. */
  readonly overrides?: { readonly listen?: string | undefined; readonly tunnel?: 'off' | undefined } | undefined
}

export interface LoadedConfig {
  readonly config: Config
  /** Things that work and should not stay so, for the log. */
  readonly warnings: readonly string[]
  /** Turns problems found later (in files that the config names) into one complaint in the same form. */
  complain(problems: readonly Problem[]): Complaint
}

/** @throws {Complaint} config: all problems at once, each with pointer and remedy. */
export function loadConfig(source: ConfigSource): LoadedConfig {
  const { env } = source.machine
  const read = readDocument(source)
  const expansion = expandEnv(read.document, env)
  const document = override(expansion.value, source.overrides)
  const parsed = configSchema.safeParse(document)
  const problems = [
    ...expansion.problems,
    ...withoutThoseAt(
      new Set(expansion.problems.map(({ pointer }) => pointer)),
      parsed.success ? [] : toProblems(parsed.error.issues, document),
    ),
    ...(read.file === undefined ? [] : findCrossProblems(document)),
  ]
  if (!parsed.success || problems.length > 0) throw read.complain(problems)
  const place = {
    env,
    homeDir: source.machine.homeDir,
    baseDir: read.file === undefined ? source.machine.workingDir : dirname(read.file),
  }
  const config = freeze(resolveConfig(parsed.data, read.file, place))
  return { config, warnings: findWarnings(read.file, read.document, config), complain: read.complain }
}

/**
 * Checks the file alone, wherever it may be used later: no variable is looked up, and a value that depends on one is
 * taken as right.
 * @throws {Complaint} config
 */
export function checkConfigWithoutEnv(source: ConfigSource): void {
  const read = readDocument(source)
  const { value, problems: faults, unknownPointers } = expandEnv(read.document, 'unknown')
  const parsed = configSchema.safeParse(value)
  const found = parsed.success ? [] : toProblems(parsed.error.issues, value)
  const problems = [
    ...faults,
    ...withoutThoseAt(unknownPointers, [...found, ...(read.file === undefined ? [] : findCrossProblems(value))]),
  ]
  if (problems.length > 0) throw read.complain(problems)
}

/** Where a running Burrow is found, and what is known of its tunnel: nothing that takes a secret to know. */
export type ConfigLocations = Pick<Config, 'file' | 'listen' | 'operator' | 'tunnel' | 'state'>

/**
 * As much of the config as it takes to ask a running Burrow. What refers to variables that are not set is not looked
 * at: under systemd those of its secrets are set for the service alone, and root at a shell has none of them.
 * @throws {Complaint} config
 */
export function loadLocations(source: ConfigSource): ConfigLocations {
  const { env, homeDir, workingDir } = source.machine
  const read = readDocument(source)
  const { value, problems: faults } = expandEnv(withoutUnknown(withoutSecrets(read.document), env), env)
  const parsed = configSchema.safeParse(value)
  const problems = [
    ...faults,
    ...withoutThoseAt(
      new Set(faults.map(({ pointer }) => pointer)),
      parsed.success ? [] : toProblems(parsed.error.issues, value),
    ),
  ]
  if (!parsed.success || problems.length > 0) throw read.complain(problems)
  return freeze(
    resolveConfig(parsed.data, read.file, {
      env,
      homeDir,
      baseDir: read.file === undefined ? workingDir : dirname(read.file),
    }),
  )
}

const places = ['listen', 'operator', 'state', 'tunnel']

function withoutUnknown(document: unknown, env: ConfigSource['machine']['env']): unknown {
  if (!isObject(document) || Array.isArray(document)) return document
  return Object.fromEntries(
    Object.entries(document).filter(
      ([name, value]) => places.includes(name) || expandEnv(value, env).problems.length === 0,
    ),
  )
}

/** The tunnel's secrets become names of files that nobody opens, so that the rest of it keeps its form. */
function withoutSecrets(document: unknown): unknown {
  if (!isObject(document) || !isObject(document.tunnel) || Array.isArray(document.tunnel)) return document
  const { token, tokenFile, credentialsFile, ...tunnel } = document.tunnel
  const unread = {
    ...((token ?? tokenFile) !== undefined && { tokenFile: 'unread' }),
    ...(credentialsFile !== undefined && { credentialsFile: 'unread' }),
  }
  return { ...document, tunnel: { ...tunnel, ...unread } }
}

function withoutThoseAt(pointers: ReadonlySet<string>, problems: readonly Problem[]): Problem[] {
  return problems.filter(({ pointer, isAboutKey }) => isAboutKey === true || !pointers.has(pointer))
}

interface ReadDocument {
  readonly file: string | undefined
  readonly document: unknown
  complain(problems: readonly Problem[]): Complaint
}

function readDocument(source: ConfigSource): ReadDocument {
  const found = readConfigText(source)
  if (found === undefined)
    return {
      file: undefined,
      document: {},
      complain: (problems) =>
        new Complaint(
          'config',
          formatProblems('from the command line', problems, () => undefined),
        ),
    }
  const { file, text, shownName } = found
  const parsed = parseJsonText(text)
  if ('fault' in parsed) {
    const { line, column, message } = parsed.fault
    throw new Complaint('config', `Cannot read config "${shownName}": line ${line}, column ${column} ${message}`)
  }
  return {
    file,
    document: parsed.value,
    complain: (problems) => new Complaint('config', formatProblems(`"${shownName}"`, problems, parsed.lineOf)),
  }
}

function readConfigText({
  machine,
  file: wanted,
}: ConfigSource): { file: string; text: string; shownName: string } | undefined {
  const fromEnv = machine.env.BURROW_CONFIG === '' ? undefined : machine.env.BURROW_CONFIG
  const named = wanted ?? fromEnv
  const file = resolve(machine.workingDir, named ?? 'burrow.json')
  const shownName = named ?? relative(machine.workingDir, file)
  try {
    // Editors on some systems begin a file with a byte order mark, which JSON does not know.
    return { file, text: readFileSync(file, 'utf8').replace(/^\ufeff/, ''), shownName }
  } catch (error) {
    if (named === undefined && systemCodeOf(error) === 'ENOENT') return undefined
    const origin = wanted !== undefined ? '--config' : fromEnv !== undefined ? '$BURROW_CONFIG' : 'it'
    throw new Complaint(
      'config',
      `Cannot read config "${shownName}": ${reasonOf(error)}; correct ${origin}, or make one with "burrow init"`,
      { cause: error },
    )
  }
}

function override(document: unknown, overrides: ConfigSource['overrides']): unknown {
  if (!isObject(document) || overrides === undefined) return document
  return { ...document, ...Object.fromEntries(Object.entries(overrides).filter(([, value]) => value !== undefined)) }
}

const lowestFreePort = 1024

function findWarnings(file: string | undefined, document: unknown, { access, listen }: Config): string[] {
  const users = access.kind === 'users' ? access.users : []
  return [
    ...(file === undefined ? [] : exposureWarnings(file, document)),
    ...users.flatMap(({ pointer, name, secret }) =>
      secret.kind === 'plain' && secret.password.length < minPasswordLength
        ? [
            `${pointer}: the password of user "${name}" has fewer than ${minPasswordLength} characters; choose a longer one, or let "burrow hash-password" ask for one`,
          ]
        : [],
    ),
    ...(listen.kind === 'tcp' && listen.port > 0 && listen.port < lowestFreePort
      ? [
          `/listen: ports below ${lowestFreePort} need a privilege that the systemd service does not have; use a higher port, since the tunnel can reach any`,
        ]
      : []),
  ]
}

/** Only what is written out counts: a password from the environment is not in the file. */
function exposureWarnings(file: string, document: unknown): string[] {
  if ((statSync(file).mode & 0o077) === 0) return []
  const users = isObject(document) && Array.isArray(document.users) ? document.users : []
  const holdsPasswords = users.some((user) => {
    const text = typeof user === 'string' ? user : isObject(user) ? user.password : undefined
    return typeof text === 'string' && expandEnv(text, 'unknown').unknownPointers.size === 0
  })
  return holdsPasswords
    ? [
        `Config "${file}" holds passwords and can be read by other users of this machine; run "chmod 600 ${file}", or use passwordHash or passwordFile`,
      ]
    : []
}

function freeze<T>(value: T): T {
  if (isObject(value)) Object.values(Object.freeze(value)).forEach(freeze)
  return value
}
