/** Loads the config: read, parse, expand variables, check, resolve, freeze. */
import { dirname } from 'node:path'

import type { Complaint } from '../complaint.ts'
import type { Config } from './config.ts'
import { findCrossProblems } from './cross-check.ts'
import { expandEnv } from './expand-env.ts'
import { isObject, type Problem } from './problem.ts'
import { type ConfigSource, readDocument } from './read-document.ts'
import { resolveConfig } from './resolve.ts'
import { configSchema } from './schema.ts'
import { findWarnings } from './warnings.ts'
import { toProblems } from './zod-problems.ts'

export interface LoadedConfig {
  readonly config: Config
  /** Problems that do not prevent a start, for the log. */
  readonly warnings: readonly string[]
  /** Formats problems found later, in files that the config names, in the same way. */
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
    ...withoutProblemsAt(
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
 * Checks the file without an environment: variables are not looked up, and a value that depends on one counts as valid.
 * @throws {Complaint} config
 */
export function checkConfigWithoutEnv(source: ConfigSource): void {
  const read = readDocument(source)
  const { value, problems: faults, unknownPointers } = expandEnv(read.document, 'unknown')
  const parsed = configSchema.safeParse(value)
  const found = parsed.success ? [] : toProblems(parsed.error.issues, value)
  const problems = [
    ...faults,
    ...withoutProblemsAt(unknownPointers, [...found, ...(read.file === undefined ? [] : findCrossProblems(value))]),
  ]
  if (problems.length > 0) throw read.complain(problems)
}

/**
 * Where a running Burrow listens, its tunnel settings and its stores: everything that does not need a secret. Users whose
 * password is in an unset variable are missing in `access`.
 */
export type ConfigLocations = Pick<
  Config,
  'file' | 'listen' | 'operator' | 'tunnel' | 'state' | 'store' | 'access' | 'mutableUsers' | 'depot' | 'publish'
>

/**
 * The part of the config that is needed to ask a running Burrow. Settings with unset variables are ignored: under
 * systemd, variables for secrets are only set for the service and not in a shell.
 * @throws {Complaint} config
 */
export function loadLocations(source: ConfigSource): ConfigLocations {
  const { env, homeDir, workingDir } = source.machine
  const read = readDocument(source)
  const { value, problems: faults } = expandEnv(withoutUnset(withoutSecrets(read.document), env), env)
  const parsed = configSchema.safeParse(value)
  const problems = [
    ...faults,
    ...withoutProblemsAt(
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

/** Without "publish" everything would seem to be published. */
const locationSettings = ['listen', 'operator', 'state', 'tunnel', 'publish']

function withoutUnset(document: unknown, env: ConfigSource['machine']['env']): unknown {
  if (!isObject(document) || Array.isArray(document)) return document
  return Object.fromEntries(
    Object.entries(document).filter(
      ([name, value]) => locationSettings.includes(name) || expandEnv(value, env).problems.length === 0,
    ),
  )
}

/** Replaces the tunnel's secrets by file names that are never opened, so that the setting stays valid. */
function withoutSecrets(document: unknown): unknown {
  if (!isObject(document) || !isObject(document.tunnel) || Array.isArray(document.tunnel)) return document
  const { token, tokenFile, credentialsFile, ...tunnel } = document.tunnel
  const unread = {
    ...((token ?? tokenFile) !== undefined && { tokenFile: 'unread' }),
    ...(credentialsFile !== undefined && { credentialsFile: 'unread' }),
  }
  return { ...document, tunnel: { ...tunnel, ...unread } }
}

function withoutProblemsAt(pointers: ReadonlySet<string>, problems: readonly Problem[]): Problem[] {
  return problems.filter(({ pointer, isAboutKey }) => isAboutKey === true || !pointers.has(pointer))
}

function override(document: unknown, overrides: ConfigSource['overrides']): unknown {
  if (!isObject(document) || overrides === undefined) return document
  return { ...document, ...Object.fromEntries(Object.entries(overrides).filter(([, value]) => value !== undefined)) }
}

function freeze<T>(value: T): T {
  if (isObject(value)) Object.values(Object.freeze(value)).forEach(freeze)
  return value
}
