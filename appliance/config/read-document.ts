/**
 * Finds, reads and parses the config file: `--config`, else `$BURROW_CONFIG`, else `burrow.json` in the working
 * directory, else none.
 */
import { readFileSync } from 'node:fs'
import { relative, resolve } from 'node:path'

import { Complaint, reasonOf, systemCodeOf } from '../complaint.ts'
import type { Machine } from '../machine.ts'
import { parseJsonText } from './json-text.ts'
import { formatProblems, type Problem } from './problem.ts'

export interface ConfigSource {
  readonly machine: Pick<Machine, 'env' | 'workingDir' | 'homeDir'>
  /** The value of `--config`. */
  readonly file?: string | undefined
  /** Other options of the command line; they override the file. */
  readonly overrides?: { readonly listen?: string | undefined; readonly tunnel?: 'off' | undefined } | undefined
}

export interface ReadDocument {
  readonly file: string | undefined
  readonly document: unknown
  complain(problems: readonly Problem[]): Complaint
}

/** @throws {Complaint} config */
export function readDocument(source: ConfigSource): ReadDocument {
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
    // Editors on some systems begin a file with a byte order mark, which JSON does not allow.
    return { file, text: readFileSync(file, 'utf8').replace(/^\ufeff/, ''), shownName }
  } catch (error) {
    if (named === undefined && systemCodeOf(error) === 'ENOENT') return undefined
    const origin = wanted !== undefined ? '--config' : fromEnv !== undefined ? '$BURROW_CONFIG' : 'it'
    throw new Complaint(
      'config',
      `Cannot read config "${shownName}": ${reasonOf(error)}; correct ${origin}, or create one with "burrow init"`,
      { cause: error },
    )
  }
}
