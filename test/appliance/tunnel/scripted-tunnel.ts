/** A tunnel whose connector is one of `test/fixtures/connectors/`, with everything around it in the test's hands. */
import type { Launch } from '../../../appliance/tunnel/launch/launch.ts'
import type { TunnelSettings } from '../../../appliance/tunnel/settings.ts'
import { startTunnel, type TunnelParts } from '../../../appliance/tunnel/start-tunnel.ts'
import type {
  ConnectorRecord,
  Tunnel,
  TunnelFacts,
  TunnelMemory,
  TunnelState,
  TunnelStatus,
} from '../../../appliance/tunnel/tunnel.ts'
import type { Log } from '../../../src/log.ts'
import { endProcess, type Lifelines, openLifelines } from './lifelines.ts'
import { connectorFile, createLaunch, settings } from './scripted-launch.ts'
import { TestClock } from './test-clock.ts'

/** The timer that is set after each answer, and only then. */
const restMs = 250

export interface LogEntry {
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly fields: Readonly<Record<string, unknown>>
  readonly message: string
}

export class TestMemory implements TunnelMemory {
  readonly connectors: ConnectorRecord[] = []
  readonly facts: TunnelFacts[] = []
  readonly #notify: () => void

  constructor(notify: () => void = () => {}) {
    this.#notify = notify
  }

  async addConnector(record: ConnectorRecord): Promise<void> {
    this.connectors.push(record)
    this.#notify()
  }

  async removeConnector(pid: number): Promise<void> {
    const index = this.connectors.findIndex((record) => record.pid === pid)
    if (index !== -1) this.connectors.splice(index, 1)
    this.#notify()
  }

  async remember(facts: TunnelFacts): Promise<void> {
    this.facts.push(facts)
    this.#notify()
  }
}

export interface ScriptedTunnel extends AsyncDisposable {
  readonly tunnel: Tunnel
  readonly clock: TestClock
  readonly memory: TestMemory
  readonly lifelines: Lifelines
  readonly entries: readonly LogEntry[]
  readonly history: readonly TunnelStatus[]
  /** How often the secret was taken away. */
  readonly forgotten: () => number
  /** How many starts were prepared. */
  readonly prepared: () => number
  /** Resolves when it is so, now or after any event (status, log, memory). */
  until(isSo: () => boolean): Promise<void>
  untilState(state: TunnelState): Promise<TunnelStatus>
  /** Tells the connector that runs what to do next; see scripted.mjs. */
  script(command: object): Promise<void>
  /** Lets question after question fall due until it is so. */
  pollUntil(isSo: () => boolean): Promise<void>
  /** Lets so many questions be asked and answered. */
  poll(times: number): Promise<void>
}

export interface Surroundings {
  readonly settings?: Partial<TunnelSettings>
  readonly launch?: Partial<Launch>
  readonly parts?: Partial<TunnelParts>
  readonly records?: readonly ConnectorRecord[]
}

export async function startScripted(behaviour: string, surroundings: Surroundings = {}): Promise<ScriptedTunnel> {
  const lifelines = await openLifelines()
  const clock = new TestClock()
  const waiting = new Set<() => void>()
  const notify = () => {
    for (const look of [...waiting]) look()
  }
  const memory = new TestMemory(notify)
  memory.connectors.push(...(surroundings.records ?? []))
  const entries: LogEntry[] = []
  const history: TunnelStatus[] = []
  let forgotten = 0
  let prepared = 0
  const at = (level: LogEntry['level']) => (fields: object, message: string) => {
    entries.push({ level, fields: fields as Readonly<Record<string, unknown>>, message })
    notify()
  }
  const log: Log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }

  const tunnel = startTunnel({
    settings: { ...settings, ...surroundings.settings },
    findBinary: async () => ({ path: connectorFile(behaviour), version: '2026.8.2' }),
    prepareLaunch: async (binary) => {
      prepared += 1
      return {
        ...createLaunch(behaviour, lifelines.port),
        command: binary.path,
        forgetSecret: async () => {
          forgotten += 1
          notify()
        },
        ...surroundings.launch,
      }
    },
    memory,
    log,
    clock,
    endProcess,
    ownPid: process.pid,
    searchPath: '',
    onStatus: (status) => {
      history.push(status)
      notify()
    },
    ...surroundings.parts,
  })

  const until = (isSo: () => boolean) =>
    new Promise<void>((resolve) => {
      const look = () => {
        if (!isSo()) return
        waiting.delete(look)
        resolve()
      }
      waiting.add(look)
      look()
    })
  const pollUntil = async (isSo: () => boolean) => {
    while (!isSo()) {
      const answered = clock.set(restMs)
      clock.advance(5_000)
      await Promise.race([answered, until(isSo)])
    }
  }
  return {
    tunnel,
    clock,
    memory,
    lifelines,
    entries,
    history,
    forgotten: () => forgotten,
    prepared: () => prepared,
    until,
    async untilState(state) {
      await until(() => tunnel.status.state === state)
      return tunnel.status
    },
    async script(command) {
      const response = await fetch(`${tunnel.status.metricsUrl}/script`, {
        method: 'POST',
        body: JSON.stringify(command),
        headers: { connection: 'close' },
      })
      await response.text()
    },
    pollUntil,
    poll(times) {
      // One answer may be on its way already.
      const wanted = clock.count(restMs) + times + 1
      return pollUntil(() => clock.count(restMs) >= wanted)
    },
    async [Symbol.asyncDispose]() {
      const stopped = tunnel.stop()
      // Whatever does not end by itself is not waited for here.
      clock.advance(60_000)
      await stopped
      await lifelines[Symbol.asyncDispose]()
    },
  }
}
