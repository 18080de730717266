/** Why a connector ended, or has to be ended, in words for whoever must mend it; and how long to leave it alone. */

import type { Unexecutable } from '../find/executable.ts'
import type { ChildEnd } from '../launch/child.ts'
import { brokenHere, type EndDiagnosis, explainProblem, failed, soon, type Wanted } from './connector-problems.ts'
import { type ConnectorProblem, explainDial } from './news.ts'
import { toPlainText } from './plain-text.ts'

/** What is known of an end besides how the process ended; texts redacted. */
export interface LastWords {
  /** The last line that was neither JSON nor meant for people. */
  readonly bareLine: string | undefined
  /** Standard output's beginning: the usage text, if anything. */
  readonly stdout: string
  /** The last problem since it was last connected. */
  readonly problem: ConnectorProblem | undefined
  /** It said that it has replaced its own program. */
  readonly hasUpdated: boolean
  /** The signal by which it said it was asked to end. */
  readonly signalled: string | undefined
}

export const noBinary: EndDiagnosis = {
  state: 'missing-binary',
  pace: 'soon',
  reason: 'there is no cloudflared: not where the setting "binary" says, not on PATH, and none was installed',
  remedy: 'run "burrow tunnel install", or install cloudflared; it is looked for every 30 s',
}

export function explainUnexecutable(kind: Unexecutable, file: string): EndDiagnosis {
  const what = JSON.stringify(file)
  if (kind === 'absent') {
    return {
      state: 'missing-binary',
      pace: 'soon',
      reason: `there is no ${what}`,
      remedy: 'run "burrow tunnel install", or install cloudflared; it is looked for again and again',
    }
  }
  if (kind === 'forbidden') {
    return brokenHere(
      `this user may not execute ${what}`,
      `run "chmod a+rx ${file}", and see that its directory may be entered and is not mounted noexec`,
    )
  }
  return brokenHere(
    `${what} is no program for this machine`,
    'run "burrow tunnel install", or install the cloudflared made for this processor',
  )
}

export function explainEnd({ code, signal, spawnFault }: ChildEnd, words: LastWords, wanted: Wanted): EndDiagnosis {
  if (spawnFault !== undefined) {
    return soon(
      `cloudflared cannot be started: ${toPlainText(spawnFault.message)}`,
      'see whether this machine has memory, processes and file descriptors left',
    )
  }
  if (signal !== null) return explainSignal(signal)
  if (code === 11 || words.hasUpdated) {
    return soon(
      'cloudflared has replaced its own program by a newer one',
      'keep its file not writable for this user, so that only you choose its version',
    )
  }
  const said = words.bareLine === undefined ? '' : toPlainText(words.bareLine)
  if (code === 126 || code === 127) return explainDeathSignal(said, code)
  if (code === 0 && words.signalled !== undefined) {
    return soon(
      `cloudflared was ended from outside (signal ${words.signalled}), not by Burrow`,
      'a service manager must signal Burrow alone: KillMode=mixed in systemd',
    )
  }
  if (code === 0) return explainSilentEnd(words.stdout, wanted)
  if (code === 255) return explainRefusedArguments(said, wanted)
  return explainFault(said, code, words.problem, wanted)
}

function explainSignal(signal: string): EndDiagnosis {
  if (signal === 'SIGKILL') {
    return soon(
      'cloudflared was killed (SIGKILL), by somebody or by the kernel for want of memory',
      'look for "Out of memory" in the kernel\'s log: journalctl -k, or dmesg',
    )
  }
  return soon(`cloudflared was ended by ${signal}, not by Burrow`, undefined)
}

/** setpriv's own codes when the program cannot be executed, as a shell has them. */
function explainDeathSignal(said: string, code: number): EndDiagnosis {
  if (code === 127 && /No such file/.test(said)) {
    return failed(
      `cloudflared cannot be executed: ${said}`,
      'its file is gone, or the loader that it names is not on this machine: run "burrow tunnel install"',
    )
  }
  return failed(
    `cloudflared cannot be executed${said === '' ? '' : `: ${said}`}`,
    'see that its file may be executed and is made for this processor',
  )
}

/** Its usage text comes with exit code 0, on standard output. */
function explainSilentEnd(stdout: string, { extraArgs }: Wanted): EndDiagnosis {
  const flag = /flag provided but not defined: (-[\w-]+)/.exec(stdout)?.[1]
  if (flag === undefined && !/Incorrect Usage|USAGE:|NAME:/.test(stdout))
    return soon('cloudflared ended by itself, without a word about why (exit code 0)', undefined)
  const problem = /Incorrect Usage[:.] ([^\n]{1,200})/.exec(stdout)?.[1]
  const reason =
    flag === undefined
      ? `cloudflared does not understand its arguments${problem === undefined ? '' : `: ${toPlainText(problem)}`}`
      : `cloudflared does not know the flag ${flag}`
  const isExtra = extraArgs.length > 0
  return failed(
    reason,
    isExtra
      ? `look over the tunnel's "extraArgs" (${toPlainText(JSON.stringify(extraArgs))}), or update cloudflared`
      : 'update cloudflared',
  )
}

function explainRefusedArguments(said: string, { mode }: Wanted): EndDiagnosis {
  if (/Failed to read token file/i.test(said)) {
    return soon(
      `cloudflared cannot read the file that Burrow gave it: ${said}`,
      'make sure that nothing clears the runtime directory and that its disk has room',
    )
  }
  if (mode === 'token') {
    const remedy =
      'copy the token again from the Cloudflare dashboard (Networks, Tunnels, the tunnel, "Install a connector"): the long word that begins with "ey", without spaces'
    return failed(`cloudflared says that the token is invalid${said === '' ? '' : `: ${said}`}`, remedy)
  }
  return failed(
    `cloudflared refuses how it was started${said === '' ? '' : `: ${said}`} (exit code 255)`,
    'look at its lines in the log',
  )
}

function explainFault(
  said: string,
  code: number | null,
  problem: ConnectorProblem | undefined,
  wanted: Wanted,
): EndDiagnosis {
  if (/failed to bind to address|Error opening metrics server listener/.test(said)) {
    return soon(
      `cloudflared cannot open its metrics listener: ${said}`,
      'if this goes on: take "--metrics" out of "extraArgs", so that a free port is chosen',
    )
  }
  // Its last words come first: a problem may be of something that it got over. Of the same kind it says more.
  const last = problemIn(said)
  const own = last === undefined || last.kind === problem?.kind ? (problem ?? last) : last
  if (own !== undefined) return explainProblem(own, wanted)
  if (/credentials? file|Tunnel credentials|Invalid JSON when parsing tunnel credentials/i.test(said)) {
    return failed(
      `cloudflared cannot use the credentials: ${said}`,
      'see that "credentialsFile" is the JSON file that "cloudflared tunnel create" wrote, whole and for this tunnel',
    )
  }
  if (
    /error parsing YAML|config file|expected \w+ found|grace-period|unknown protocol|edge-ip-version|cannot parse/i.test(
      said,
    )
  ) {
    return failed(
      `cloudflared refuses its configuration: ${said}`,
      'look over the settings of the tunnel, "extraArgs" above all, or update cloudflared',
    )
  }
  return soon(said === '' ? `cloudflared ended with exit code ${code}` : `cloudflared ended: ${said}`, undefined)
}

function problemIn(said: string): ConnectorProblem | undefined {
  if (/^Unauthorized: /.test(said)) return { kind: 'unauthorized', cause: said }
  if (/Could not lookup srv records|edge discovery|DNS query failed/.test(said)) return { kind: 'dns', cause: said }
  if (/quick[ -]tunnel/i.test(said)) return { kind: 'quick-refused', cause: said }
  return /^(?:DialContext error|TLS handshake with edge error|failed to dial to edge)/.test(said)
    ? explainDial(said)
    : said === 'connection with edge closed'
      ? { kind: 'closed', cause: said }
      : undefined
}

/** It would dial at some time; a new one dials now. */
export function explainSleep(): EndDiagnosis {
  return {
    state: 'backing-off',
    pace: 'at-once',
    reason: 'all connections to the edge are lost, and cloudflared waits before it dials again',
    remedy: undefined,
  }
}

export function explainHang(
  hasAnswered: boolean,
  silentMs: number,
  problem: ConnectorProblem | undefined,
  wanted: Wanted,
): EndDiagnosis {
  if (problem !== undefined && (problem.kind === 'unauthorized' || problem.kind === 'dns'))
    return explainProblem(problem, wanted)
  const seconds = Math.round(silentMs / 1000)
  if (hasAnswered)
    return soon(
      `cloudflared hangs: it has not answered for ${seconds} s`,
      'if this happens again: see whether this machine has memory and processor time left',
    )
  return soon(
    `cloudflared hangs: ${seconds} s after its start it has not reported whether it is ready`,
    'see that this machine resolves names (DNS), and that "extraArgs" leaves "--metrics" and "--loglevel" alone',
  )
}
