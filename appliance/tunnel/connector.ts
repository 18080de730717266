/**
 * One start of a connector, from its launch to the diagnosis of its end: the process, its record for the next start,
 * its log, its observation.
 */
import type { Log } from '../../src/index.ts'
import type { EndDiagnosis } from './explain/connector-problems.ts'
import { explainEnd, type LastWords } from './explain/end-diagnosis.ts'
import type { News } from './explain/news.ts'
import { type Child, startChild } from './launch/child.ts'
import type { Launch } from './launch/launch.ts'
import type { ProcessTable } from './launch/process-identity.ts'
import type { TunnelSettings } from './settings.ts'
import type { TunnelMemory } from './tunnel.ts'
import { type TunnelClock, within } from './tunnel-clock.ts'
import { ConnectorWatch, type Observation } from './watch/connector-watch.ts'
import { createLogRelay } from './watch/log-relay.ts'

/** For cloudflared's own shutdown, after the grace period that it observes itself. */
const marginMs = 5_000
/** Nothing is carried any more: a connector that is given up has no requests to finish. */
const hopelessGraceMs = 5_000
const recordMs = 5_000
/** The first line of the usage text names the error. */
const maxStdout = 4_096
/** Follows the error and adds nothing. */
const usageHint = /^See 'cloudflared .*--help'/

export interface ConnectorParts {
  readonly settings: TunnelSettings
  readonly launch: Launch
  readonly launcher: readonly string[]
  readonly clock: TunnelClock
  readonly log: Log
  readonly memory: TunnelMemory
  readonly processes: ProcessTable
  readonly owner: { readonly pid: number; readonly startTime: string | undefined }
  readonly endProcess: (pid: number, signal: 'SIGTERM' | 'SIGKILL' | 0) => boolean
  onObservation(observation: Observation): void
  onStable(): void
  onError(text: string): void
}

export interface Connector {
  readonly pid: number | undefined
  /** When the process is gone and all that was its own with it. Never rejects. */
  readonly ended: Promise<EndDiagnosis>
  /** SIGTERM, the grace period, SIGKILL. */
  stop(): void
}

export function startConnector(parts: ConnectorParts): Connector {
  const { settings, launch, log } = parts
  let diagnosis: EndDiagnosis | undefined
  let isStopping = false
  const words: { -readonly [K in keyof LastWords]: LastWords[K] } = {
    bareLine: undefined,
    stdout: '',
    problem: undefined,
    hasUpdated: false,
    signalled: undefined,
  }

  const watch = new ConnectorWatch({
    ...parts,
    metrics: launch.metrics,
    onAlive: () => void launch.forgetSecret(),
    onHopeless(reason) {
      diagnosis = reason
      if (reason.pace === 'at-once') child.kill()
      else child.terminate(hopelessGraceMs)
    },
  })
  const relay = createLogRelay({
    ...parts,
    logLevel: settings.logLevel,
    secrets: launch.secrets,
    pid: () => child.pid,
    circumstances: () => ({ isStopping: isStopping || diagnosis !== undefined, connections: watch.connections }),
    onNews(news: News) {
      words.hasUpdated ||= news.kind === 'updated'
      if (news.kind === 'signalled') words.signalled = news.signal
      watch.hear(news)
    },
    onBareLine(text, pipe) {
      if (pipe === 'stderr') words.bareLine = usageHint.test(text) ? words.bareLine : text
      else if (words.stdout.length < maxStdout) words.stdout += `${text}\n`
    },
  })
  const child = startChild({
    ...parts,
    onLine: relay.take,
    onKill: () =>
      log.warn(
        { connector: { pid: child.pid } },
        'cloudflared did not stop within the grace period and was killed: its remaining requests are interrupted',
      ),
  })
  const recorded = record(child, parts)

  return {
    pid: child.pid,
    ended: child.ended.then(async (end) => {
      watch.stop()
      relay.end()
      await launch.forgetSecret()
      await forget(recorded, parts)
      return diagnosis ?? explainEnd(end, { ...words, problem: watch.problem }, settings)
    }),
    stop() {
      isStopping = true
      watch.drain(() => child.kill())
      child.terminate(settings.graceMs + marginMs)
    },
  }
}

/** Records the process, for a next start that finds it still running. @returns the pid, if it was recorded */
async function record(
  { pid }: Child,
  { processes, memory, owner, launch, log }: ConnectorParts,
): Promise<number | undefined> {
  if (pid === undefined || owner.startTime === undefined) return undefined
  const startTime = await processes.findStartTime(pid)
  if (startTime === undefined) return undefined
  try {
    await memory.addConnector({
      pid,
      startTime,
      configFile: launch.configFile,
      ownerPid: owner.pid,
      ownerStartTime: owner.startTime,
    })
  } catch (error) {
    log.warn(
      { err: error, connector: { pid } },
      'Cannot record the process of the connector: if Burrow is killed, its next start cannot end the connector',
    )
  }
  return pid
}

async function forget(recorded: Promise<number | undefined>, { memory, clock, log }: ConnectorParts): Promise<void> {
  const removed = recorded.then((pid) => (pid === undefined ? undefined : memory.removeConnector(pid)))
  try {
    await within(clock, recordMs, removed)
  } catch (error) {
    // Harmless: the next start sees that the process is gone.
    log.debug({ err: error }, 'Cannot remove the record of a connector that has ended')
  }
}
