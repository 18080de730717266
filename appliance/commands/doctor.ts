/** `burrow doctor`: diagnoses problems of this Burrow and of the connection to it. */
import { resolve } from 'node:path'
import { Command } from 'commander'
import { Complaint } from '../complaint.ts'
import type { Config } from '../config/config.ts'
import { examine } from '../doctor/examine.ts'
import { type Finding, formatFinding } from '../doctor/finding.ts'
import type { Machine } from '../machine.ts'
import { parseCacheUrl } from '../terminal/client-setup.ts'
import { formatCount } from '../terminal/format.ts'
import { findBinary } from '../tunnel/find/binary.ts'
import { readVersion } from '../version.ts'

interface DoctorOptions {
  readonly config?: string
  readonly json?: boolean
  readonly url?: string
  readonly user?: string
  readonly passwordFile?: string
}

/** With the checks of files and of the operator listener, at most 30 s in total. */
const totalMs = 24_000

const clocks = { now: () => Date.now(), monotonicNow: () => performance.now() }

export function doctorCommand(machine: Machine): Command {
  return new Command('doctor')
    .description('diagnose problems, from the config to the public host name')
    .option('--json', 'print JSON')
    .option(
      '--url <url>',
      'URL of the cache for clients (default: from the running Burrow, the config or the last tunnel)',
    )
    .option('--user <name>', 'user to log in as (default: a user whose password is known)')
    .option('--password-file <file>', "file with this user's password, if the config has only its hash")
    .addHelpText(
      'after',
      `
Prints one line per check: ok, warn or FAIL, the check, the result, and a remedy. Changes nothing, and takes at most 30 seconds.
Passwords are sent to the origin on this machine, and over HTTPS to the public host name.

Exit code 0 if no check failed (warnings are ignored), else 1.

  burrow doctor
  burrow doctor --url https://cache.example.org --user ben --password-file ben.txt`,
    )
    .action((_options, command: Command) => doctor(machine, command.optsWithGlobals<DoctorOptions>()))
}

async function doctor(
  machine: Machine,
  { config: file, json, url: text, user, passwordFile }: DoctorOptions,
): Promise<void> {
  const url = text === undefined ? undefined : parseCacheUrl(text)
  if (text !== undefined && url === undefined)
    throw new Complaint(
      'usage',
      'Cannot use --url: it must begin with http:// or https:// and must not contain a user name, password or query',
    )
  const isColoured = machine.stdout.isTTY === true && (machine.env.NO_COLOR ?? '') === ''
  const findings: Finding[] = []
  const given = passwordFile === undefined ? undefined : resolve(machine.workingDir, passwordFile)
  const find = ({ tunnel, state }: Config) =>
    findBinary({ settings: { binary: tunnel?.binary }, env: machine.env, stateDir: state.dir, userId: machine.userId })
  const wishes = {
    machine,
    file,
    url,
    user,
    passwordFile: given,
    version: readVersion(),
    clocks,
    totalMs,
    findBinary: find,
  }
  for await (const finding of examine(wishes)) {
    findings.push(finding)
    if (json !== true) machine.stdout.write(formatFinding(finding, { isColoured }))
  }
  const broken = findings.filter(({ grade }) => grade === 'fail').length
  if (json === true)
    machine.stdout.write(`${JSON.stringify({ isWell: broken === 0, findings: findings.map(toJson) })}\n`)
  if (broken > 0) throw new Complaint('refused', `${formatCount(broken, 'check')} failed`)
}

function toJson({ grade, check, what, remedy, fault }: Finding) {
  return { grade, check, what, remedy: remedy ?? null, fault: fault ?? null }
}
