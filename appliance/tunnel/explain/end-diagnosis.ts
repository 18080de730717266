/** Explains why a connector exited or must be ended: a reason, a remedy for the operator, and the retry interval. */

import type { ChildEnd } from '../launch/child.ts'
import { type EndDiagnosis, explainProblem, failed, soon, type Wanted } from './connector-problems.ts'
import { type ConnectorProblem, explainDial } from './news.ts'
import { toPlainText } from './plain-text.ts'

/** What is known about the end besides the exit status. Texts are redacted. */
export interface LastWords {
  /** The last line that was not JSON and not a usage hint. */
  readonly bareLine: string | undefined
  /** The beginning of standard output: the usage text, if anything. */
  readonly stdout: string
  /** The last problem since it was last connected. */
  readonly problem: ConnectorProblem | undefined
  /** It logged that it has updated its own executable. */
  readonly hasUpdated: boolean
  /** The signal that it logged as the reason for its shutdown. */
  readonly signalled: string | undefined
}

export function explainEnd({ code, signal, spawnFault }: ChildEnd, words: LastWords, wanted: Wanted): EndDiagnosis {
  if (spawnFault !== undefined) {
    return soon(
      `cloudflared cannot be started: ${toPlainText(spawnFault.message)}`,
      'check whether this machine has run out of memory, processes or file descriptors',
    )
  }
  if (signal !== null) return explainSignal(signal)
  if (code === 11 || words.hasUpdated) {
    return soon(
      'cloudflared has updated its own executable',
      'make its file read-only for this user, so that it cannot update itself',
    )
  }
  const said = words.bareLine === undefined ? '' : toPlainText(words.bareLine)
  if (code === 126 || code === 127) return explainDeathSignal(said, code)
  if (code === 0 && words.signalled !== undefined) {
    return soon(
      `cloudflared was ended from outside (signal ${words.signalled}), not by Burrow`,
      'configure the service manager to signal only Burrow: KillMode=mixed in systemd',
    )
  }
  if (code === 0) return explainSilentEnd(words.stdout, wanted)
  if (code === 255) return explainRefusedArguments(said, wanted)
  return explainFault(said, code, words.problem, wanted)
}

function explainSignal(signal: string): EndDiagnosis {
  if (signal === 'SIGKILL') {
    return soon(
      'cloudflared was killed (SIGKILL), possibly by the kernel because memory ran out',
      'look for "Out of memory" in the kernel\'s log: journalctl -k, or dmesg',
    )
  }
  return soon(`cloudflared was ended by ${signal}, not by Burrow`, undefined)
}

/** Exit codes of setpriv when it cannot execute the program; the same as a shell's. */
function explainDeathSignal(said: string, code: number): EndDiagnosis {
  if (code === 127 && /No such file/.test(said)) {
    return failed(
      `cloudflared cannot be executed: ${said}`,
      'its file is missing, or its dynamic loader is not installed on this machine: run "burrow tunnel install"',
    )
  }
  return failed(
    `cloudflared cannot be executed${said === '' ? '' : `: ${said}`}`,
    'check that its file is executable and built for this CPU architecture',
  )
}

/** Its usage text comes with exit code 0, on standard output. */
function explainSilentEnd(stdout: string, { extraArgs }: Wanted): EndDiagnosis {
  const flag = /flag provided but not defined: (-[\w-]+)/.exec(stdout)?.[1]
  if (flag === undefined && !/Incorrect Usage|USAGE:|NAME:/.test(stdout))
    return soon('cloudflared exited without an error message (exit code 0)', undefined)
  const problem = /Incorrect Usage[:.] ([^\n]{1,200})/.exec(stdout)?.[1]
  const reason =
    flag === undefined
      ? `cloudflared does not understand its arguments${problem === undefined ? '' : `: ${toPlainText(problem)}`}`
      : `cloudflared does not know the flag ${flag}`
  const isExtra = extraArgs.length > 0
  return failed(
    reason,
    isExtra
      ? `check the tunnel's "extraArgs" (${toPlainText(JSON.stringify(extraArgs))}), or update cloudflared`
      : 'update cloudflared',
  )
}

function explainRefusedArguments(said: string, { mode }: Wanted): EndDiagnosis {
  if (/Failed to read token file/i.test(said)) {
    return soon(
      `cloudflared cannot read the token file that Burrow wrote: ${said}`,
      'make sure that nothing removes files from the runtime directory and that its disk is not full',
    )
  }
  if (mode === 'token') {
    const remedy =
      'copy the token again from the Cloudflare dashboard (Networks, Tunnels, the tunnel, "Install a connector"): the long string that begins with "ey", without spaces'
    return failed(`cloudflared says that the token is invalid${said === '' ? '' : `: ${said}`}`, remedy)
  }
  return failed(
    `cloudflared rejected its arguments${said === '' ? '' : `: ${said}`} (exit code 255)`,
    'read its messages in the log',
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
      'if this persists, remove "--metrics" from "extraArgs", so that Burrow chooses a free port',
    )
  }
  // The last line takes precedence: cloudflared may have recovered from the earlier problem. If both are of the same
  // kind, the problem has more details.
  const last = problemIn(said)
  const own = last === undefined || last.kind === problem?.kind ? (problem ?? last) : last
  if (own !== undefined) return explainProblem(own, wanted)
  if (/credentials? file|Tunnel credentials|Invalid JSON when parsing tunnel credentials/i.test(said)) {
    return failed(
      `cloudflared cannot use the credentials: ${said}`,
      'check that "credentialsFile" is the complete JSON file that "cloudflared tunnel create" wrote for this tunnel',
    )
  }
  if (
    /error parsing YAML|config file|expected \w+ found|grace-period|unknown protocol|edge-ip-version|cannot parse/i.test(
      said,
    )
  ) {
    return failed(
      `cloudflared refuses its configuration: ${said}`,
      'check the settings of the tunnel, especially "extraArgs", or update cloudflared',
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

/** It would reconnect after a wait; a new process connects at once. */
export function explainSleep(): EndDiagnosis {
  return {
    state: 'backing-off',
    pace: 'at-once',
    reason: 'all connections to the edge are lost, and cloudflared waits before it reconnects',
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
      'if this happens again, check whether this machine is short of memory or CPU time',
    )
  return soon(
    `cloudflared hangs: ${seconds} s after its start it has not reported whether it is ready`,
    'check DNS on this machine, and that "extraArgs" does not set "--metrics" or "--loglevel"',
  )
}
