/**
 * Messages to systemd (sd_notify(3)): `READY=1`, `STATUS=…`, `WATCHDOG=1` as datagrams to the unix socket that
 * $NOTIFY_SOCKET names. Node has no such sockets, so each message is a short child process, systemd-notify, which waits
 * until systemd has taken it. In order, one after the other.
 */
import { execFile } from 'node:child_process'

import type { Log } from '../../src/index.ts'
import { systemCodeOf } from '../complaint.ts'
import type { Environment } from '../machine.ts'

export interface Notifier {
  /**
   * `send('READY=1', 'STATUS=Serving')`. Resolves when systemd has it, or when it is clear that it will not; never
   * rejects.
   */
  send(...assignments: readonly string[]): Promise<void>
}

/** systemd-notify itself waits 5 s for systemd to take a message. */
const patienceMs = 15_000

/** `undefined` where nobody listens for messages. */
export function findNotifier(env: Environment, log: Log): Notifier | undefined {
  const { NOTIFY_SOCKET: socket, PATH: path } = env
  if (socket === undefined || socket === '') return undefined
  // Nothing else of our environment: it may hold passwords.
  const childEnv = { NOTIFY_SOCKET: socket, ...(path === undefined ? {} : { PATH: path }) }
  let last: Promise<void> = Promise.resolve()
  let isBroken = false

  function tellOutcome(error: (Error & { readonly code?: unknown }) | null, stderr: string): void {
    if (error === null) {
      isBroken = false
      return
    }
    // Once: the watchdog would say so for ever.
    if (isBroken) return
    isBroken = true
    if (systemCodeOf(error) === 'ENOENT')
      log.error({}, 'Cannot notify systemd: systemd-notify is not on PATH; install the package "systemd"')
    else
      log.error(
        { reason: stderr.trim() || error.message },
        'Cannot notify systemd: it may end this process because it looks hung',
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
