/** The dependencies of a tunnel. */
import type { Log } from '../../src/index.ts'
import type { Binary, Launch } from './launch/launch.ts'
import type { TunnelSettings } from './settings.ts'
import type { TunnelMemory, TunnelStatus } from './tunnel.ts'
import type { TunnelClock } from './tunnel-clock.ts'

export interface TunnelParts {
  readonly settings: TunnelSettings
  /** Looked for before each start. */
  findBinary(): Promise<Binary | undefined>
  /** @throws {LaunchFault} it cannot be started now: reported, and retried */
  prepareLaunch(binary: Binary): Promise<Launch>
  readonly memory: TunnelMemory
  readonly log: Log
  readonly clock: TunnelClock
  /**
   * kill(2), as `process.kill` has it: a negative number is a process group. `false` when there is no such process;
   * other errors are thrown.
   */
  readonly endProcess: (pid: number, signal: 'SIGTERM' | 'SIGKILL' | 0) => boolean
  readonly ownPid: number
  /** Where setpriv is looked for; else the connector's own PATH. */
  readonly searchPath?: string
  /** Each change of the status but those of `lastError` and `lastConnected` alone. */
  readonly onStatus?: (status: TunnelStatus) => void
}
