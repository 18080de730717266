/**
 * One connector process from spawn to end: in a session of its own (a Ctrl-C at the terminal must not reach it:
 * cloudflared takes a second signal for "at once"), both pipes drained, stopped by SIGTERM and, when that is not
 * enough, SIGKILL to all of its group.
 */
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import type { Readable } from 'node:stream'

import { systemCodeOf } from '../../complaint.ts'
import { type TunnelClock, within } from '../tunnel-clock.ts'
import { createLineReader } from '../watch/line-reader.ts'
import type { Launch } from './launch.ts'

/** More than any line that means something; the longest that was seen is a pushed configuration. */
const maxLineBytes = 16_384
/**
 * Output that is in the pipes when the process has ended is read immediately; another process that holds them open is
 * not waited for.
 */
const lastWordsMs = 1_000

export type Pipe = 'stdout' | 'stderr'

export interface ChildEnd {
  readonly code: number | null
  readonly signal: string | null
  /** It never ran: `ENOENT` and the like. */
  readonly spawnFault: { readonly code: string | undefined; readonly message: string } | undefined
}

export interface Child {
  /** `undefined`: it could not be started. */
  readonly pid: number | undefined
  /** When its last words are read. Never rejects. */
  readonly ended: Promise<ChildEnd>
  /** SIGTERM now, SIGKILL when that time is over. Only the first call does anything. */
  terminate(graceMs: number): void
  /** SIGKILL to all of its group, now: it carries nothing. */
  kill(): void
}

export interface ChildParts {
  readonly launch: Launch
  /** Words to put before the command. */
  readonly launcher: readonly string[]
  readonly clock: TunnelClock
  readonly endProcess: (pid: number, signal: 'SIGTERM' | 'SIGKILL' | 0) => boolean
  /** The bytes are only good during the call. */
  onLine(line: Buffer, pipe: Pipe): void
  /** It did not end in its time, and gets SIGKILL. */
  onKill(): void
}

export function startChild(parts: ChildParts): Child {
  const { launch, launcher } = parts
  const [command = launch.command, ...args] = [...launcher, launch.command, ...launch.args]
  try {
    return follow(
      spawn(command, args, { env: { ...launch.env }, stdio: ['ignore', 'pipe', 'pipe'], detached: true }),
      parts,
    )
  } catch (error) {
    // What spawn does not even try: an argument with a NUL in it.
    return {
      pid: undefined,
      ended: Promise.resolve({ code: null, signal: null, spawnFault: toSpawnFault(error) }),
      terminate() {},
      kill() {},
    }
  }
}

function follow(
  child: ChildProcessByStdio<null, Readable, Readable>,
  { clock, endProcess, onLine, onKill }: ChildParts,
): Child {
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()))
  const exited = new Promise<ChildEnd>((resolve) => {
    child.once('exit', (code, signal) => resolve({ code, signal, spawnFault: undefined }))
    // It is also emitted when a signal could not be sent; the process then still runs.
    child.on('error', (error) => {
      if (child.pid === undefined) resolve({ code: null, signal: null, spawnFault: toSpawnFault(error) })
    })
  })
  for (const pipe of ['stdout', 'stderr'] as const) drain(child[pipe], (line) => onLine(line, pipe))

  let cancelKill: (() => void) | undefined
  const hasEnded = () => child.exitCode !== null || child.signalCode !== null
  return {
    pid: child.pid,
    ended: exited.then(async (end) => {
      cancelKill?.()
      await within(clock, lastWordsMs, closed)
      child.stdout?.destroy()
      child.stderr?.destroy()
      return end
    }),
    terminate(graceMs) {
      const { pid } = child
      if (cancelKill !== undefined || pid === undefined || hasEnded()) return
      cancelKill = clock.after(graceMs, () => {
        if (hasEnded()) return
        onKill()
        endProcess(-pid, 'SIGKILL')
      })
      child.kill('SIGTERM')
    },
    kill() {
      if (child.pid !== undefined && !hasEnded()) endProcess(-child.pid, 'SIGKILL')
    },
  }
}

/** @param stream there is none when the process was out of file descriptors */
function drain(stream: Readable | undefined, onLine: (line: Buffer) => void): void {
  const lines = createLineReader(onLine, maxLineBytes)
  stream?.on('data', (chunk: Buffer) => lines.push(chunk))
  stream?.on('end', () => lines.end())
  // A pipe that cannot be read ends with the child.
  stream?.on('error', () => {})
}

function toSpawnFault(error: unknown): ChildEnd['spawnFault'] {
  return { code: systemCodeOf(error), message: error instanceof Error ? error.message : String(error) }
}
