/**
 * Messages to systemd (sd_notify(3)): `READY=1`, `STATUS=…`, `WATCHDOG=1` as datagrams to the unix socket that
 * $NOTIFY_SOCKET names. Node does not support such sockets, so each message is sent by a child process, systemd-notify,
 * which waits until systemd has received it. Messages are sent in order, one at a time.
 */
import { execFile } from 'node:child_process'

import type { Log } from '../../src/index.ts'
import { systemCodeOf } from '../complaint.ts'
import type { Environment } from '../machine.ts'

export interface Notifier {
  /**
   * `send('READY=1', 'STATUS=Serving')`. Resolves when systemd has received it, or after a failure. Never rejects.
   */
  send(...assignments: readonly string[]): Promise<void>
}

/** systemd-notify itself waits 5 s for systemd to receive a message. */
const patienceMs = 15_000

/** `undefined` if systemd does not expect messages. */
export function findNotifier(env: Environment, log: Log): Notifier | undefined {
  const { NOTIFY_SOCKET: socket, PATH: path } = env
  if (socket === undefined || socket === '') return undefined
  // No other variables: they may contain passwords.
  const childEnv = { NOTIFY_SOCKET: socket, ...(path === undefined ? {} : { PATH: path }) }
  let last: Promise<void> = Promise.resolve()
  let isBroken = false

  function tellOutcome(error: (Error & { readonly code?: unknown }) | null, stderr: string): void {
    if (error === null) {
      isBroken = false
      return
    }
    // Logged once: the watchdog would repeat it forever.
    if (isBroken) return
    isBroken = true
    if (systemCodeOf(error) === 'ENOENT')
      log.error({}, 'Cannot notify systemd: systemd-notify is not on PATH; install the package "systemd"')
    else
      log.error(
        { reason: stderr.trim() || error.message },
        'Cannot notify systemd: it may kill this process because its watchdog is not answered',
      )
  }

  const sendOne = (assignments: readonly string[]) =>
    new Promise<void>((resolve) => {
      execFile(
        'systemd-notify',
        assignments.map(oneLine),
        { env: childEnv, timeout: patienceMs, killSignal: 'SIGKILL' },
        (error, _stdout, stderr) => {
          tellOutcome(error, stderr)
          resolve()
        },
      )
    })

  return {
    send(...assignments) {
      last = last.then(() => sendOne(assignments))
      return last
    },
  }
}

/** A line break would begin another assignment. */
function oneLine(assignment: string): string {
  return assignment.replaceAll(/\p{Cc}+/gu, ' ')
}
