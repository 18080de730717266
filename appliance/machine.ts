/**
 * The machine as the rest of the appliance sees it: what `process` knows, handed in by `program.ts`, so that a test can
 * hand in another.
 */
import type { Readable, Writable } from 'node:stream'

export type Environment = Readonly<Record<string, string | undefined>>

export type SignalName = 'SIGTERM' | 'SIGINT' | 'SIGHUP'

export interface TerminalInput extends Readable {
  readonly isTTY?: boolean
  setRawMode?(isRaw: boolean): unknown
}

export interface TerminalOutput extends Writable {
  readonly isTTY?: boolean
  /** systemd's journal reads it, and takes `<3>` at the beginning of a line for its priority. */
  readonly isJournal?: boolean
}

export interface Machine {
  /** Arguments after the program's own name. */
  readonly args: readonly string[]
  readonly env: Environment
  readonly workingDir: string
  readonly homeDir: string
  readonly hostName: string
  /** Of the zstd inside Node: what it compresses depends on it. */
  readonly zstdVersion: string
  readonly pid: number
  /** Effective user; `undefined` where the system has no such thing. */
  readonly userId: number | undefined
  readonly stdin: TerminalInput
  readonly stdout: TerminalOutput
  readonly stderr: TerminalOutput
  /** Takes the signal's default action away until the returned function is called. */
  onSignal(signal: SignalName, listener: () => void): () => void
  /**
   * As kill(2): a negative number is a process group, signal 0 only asks. False when there is no such process; other
   * errors are thrown.
   */
  endProcess(pid: number, signal: 'SIGTERM' | 'SIGKILL' | 0): boolean
  /** Ends the program at once, whatever is under way. */
  exit(code: number): never
}
