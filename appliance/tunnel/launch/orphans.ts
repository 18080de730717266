/**
 * Connectors of a Burrow that was killed. Such a one stays registered at the edge and answers its share of the requests
 * with 502, so it is ended before a new one starts; but only when it is certainly the recorded one: same number, same
 * start, our config file on its command line, and its parent gone.
 */
import type { Log } from '../../../src/index.ts'
import type { ConnectorRecord, TunnelMemory } from '../tunnel.ts'
import type { TunnelClock } from '../tunnel-clock.ts'
import type { ProcessTable } from './process-identity.ts'

/** Its requests cannot be answered: their origin is gone. */
const graceMs = 3_000
const lookEveryMs = 100

export interface SweepParts {
  readonly memory: TunnelMemory
  readonly processes: ProcessTable
  readonly clock: TunnelClock
  readonly log: Log
  /** Ends the sweep: what is not done is left for the next start. */
  readonly signal: AbortSignal
  readonly endProcess: (pid: number, signal: 'SIGTERM' | 'SIGKILL' | 0) => boolean
}

/** Resolves when they are gone. Never rejects. */
export async function sweepOrphans(parts: SweepParts): Promise<void> {
  await Promise.all(
    parts.memory.connectors.map((record) =>
      sweep(parts, record).catch((error) =>
        parts.log.warn(
          { err: error, connector: { pid: record.pid } },
          'Cannot look after a connector of an earlier start',
        ),
      ),
    ),
  )
}

async function sweep(parts: SweepParts, record: ConnectorRecord): Promise<void> {
  const { memory, processes, log } = parts
  const { pid, ownerPid, ownerStartTime, configFile } = record
  // Another Burrow, alive, with the same state: the connector is its own business.
  if ((await processes.findStartTime(ownerPid)) === ownerStartTime) return

  const isOurs = async () =>
    (await processes.findStartTime(pid)) === record.startTime &&
    ((await processes.findCommandLine(pid)) ?? '').includes(configFile)
  // 0 and 1 are never a connector, and as arguments of kill(2) negative numbers are whole groups.
  if (configFile !== '' && Number.isInteger(pid) && pid > 1 && (await isOurs())) {
    log.warn(
      { connector: { pid, configFile } },
      'A connector of an earlier start still runs without its Burrow: it is ended',
    )
    if (!(await endOrphan(parts, pid, isOurs))) return
  }
  await memory.removeConnector(pid)
}

/** @returns whether it is gone */
async function endOrphan(
  { endProcess, clock, log, signal: stop }: SweepParts,
  pid: number,
  isOurs: () => Promise<boolean>,
): Promise<boolean> {
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    try {
      if (!endProcess(pid, signal)) return true
    } catch (error) {
      log.error(
        { err: error, connector: { pid } },
        `Cannot end the connector of an earlier start: end process ${pid} yourself, or the edge sends it a share of the requests`,
      )
      return false
    }
    for (let waitedMs = 0; waitedMs < graceMs; waitedMs += lookEveryMs) {
      if (!(await isOurs())) return true
      if (stop.aborted) return false
      await new Promise<void>((resolve) => void clock.after(lookEveryMs, resolve))
    }
  }
  log.error({ connector: { pid } }, 'The connector of an earlier start does not end, even by SIGKILL')
  return false
}
