/**
 * The login for `burrow use`: the password comes from a file, standard input, Nix's netrc file of an earlier run, or a
 * prompt.
 */
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { hostOf } from '../../../src/index.ts'
import { Complaint, reasonOf } from '../../complaint.ts'
import { passwordFault } from '../../config/users-schema.ts'
import type { Machine } from '../../machine.ts'
import { readText } from '../../plan/file-steps.ts'
import { printable } from '../../terminal/format.ts'
import { askPassword } from '../../terminal/prompts.ts'
import { readInput } from '../../terminal/standard-input.ts'
import { findLogin, type NetrcLogin } from '../netrc.ts'
import { netrcFileOf } from './use-plan.ts'

const maxPasswordBytes = 4096

export async function findCacheLogin(
  machine: Machine,
  url: string,
  user: string,
  root: string,
  passwordFile: string | undefined,
): Promise<NetrcLogin> {
  const password = await readPassword(machine, url, user, root, passwordFile)
  const fault = passwordFault(password)
  if (fault !== undefined) throw new Complaint('usage', `Cannot use this password: it ${fault[0]}; ${fault[1]}`)
  if (/[:\s\p{Cc}]/u.test(user))
    throw new Complaint('usage', 'Cannot use this --user: it contains a colon or white space')
  return { login: user, password }
}

async function readPassword(
  machine: Machine,
  url: string,
  user: string,
  root: string,
  file: string | undefined,
): Promise<string> {
  if (file !== undefined) {
    try {
      return (await readFile(resolve(machine.workingDir, file), 'utf8')).replace(/\r?\n$/, '')
    } catch (error) {
      throw new Complaint('config', `Cannot read "${file}": ${reasonOf(error)}`, { cause: error })
    }
  }
  const isTerminal = machine.stdin.isTTY === true
  const given = isTerminal ? '' : await readGivenLine(machine)
  if (given !== '') return given
  // Set up by an earlier run.
  const known = findLogin((await readText(await netrcFileOf(machine, root)).catch(() => undefined)) ?? '', hostOf(url))
  if (known?.login === user) return known.password
  if (isTerminal) return await askPassword(machine, `Password for ${printable(user)} at ${hostOf(url)}:`)
  throw new Complaint('usage', 'No password was given; use --password-file, or give it as a line of standard input')
}

async function readGivenLine(machine: Machine): Promise<string> {
  const text = await readInput(machine, maxPasswordBytes)
  if (text === undefined) throw new Complaint('usage', 'The password on standard input is too long')
  return text
}
