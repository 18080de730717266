/**
 * The progress of a push. On a terminal, one line on standard error that is redrawn; otherwise a line every ten
 * seconds, or JSON lines on standard output for programs.
 *
 *     34 of 180 paths · 512.0 MiB of 1.2 GiB · 8.1 MiB/s · 1 min 25 s left
 */
import type { PushEvent } from '../../src/index.ts'
import type { Machine } from '../machine.ts'
import { formatBytes, formatCount, formatSpan } from '../terminal/format.ts'

export interface PushProgress extends Disposable {
  readonly report: (event: PushEvent) => void
  /** Prints a message above the progress line, for example about a retry. */
  note(text: string): void
}

export type ProgressMode = 'lines' | 'json' | 'quiet'

const redrawMs = 200
const lineMs = 10_000
/** The rate is measured over this time. */
const windowMs = 10_000

export function startProgress(
  { stdout, stderr }: Machine,
  mode: ProgressMode,
  now: () => number = Date.now,
): PushProgress {
  const isTerminal = stderr.isTTY === true
  let missingPaths = 0
  let missingBytes = 0
  let pushedPaths = 0
  let narBytes = 0
  let wireBytes = 0
  let isDrawn = false
  let shownAtMs = now()
  const samples: { readonly atMs: number; readonly narBytes: number; readonly wireBytes: number }[] = []

  function line(): string {
    const first = samples[0]
    const spanMs = first === undefined ? 0 : now() - first.atMs
    const parts = [
      `${formatCount(pushedPaths)} of ${formatCount(missingPaths, 'path')}`,
      `${formatBytes(narBytes)} of ${formatBytes(missingBytes)}`,
    ]
    if (first !== undefined && spanMs > 1000) {
      const narRate = ((narBytes - first.narBytes) / spanMs) * 1000
      parts.push(`${formatBytes(Math.round(((wireBytes - first.wireBytes) / spanMs) * 1000))}/s`)
      if (narRate > 0 && missingBytes > narBytes)
        parts.push(`${formatSpan(((missingBytes - narBytes) / narRate) * 1000)} left`)
    }
    return parts.join(' · ')
  }

  function show(isForced = false): void {
    if (mode !== 'lines' || missingPaths === 0) return
    if (!isForced && now() - shownAtMs < (isTerminal ? redrawMs : lineMs)) return
    shownAtMs = now()
    if (!isTerminal) return void stderr.write(`${line()}\n`)
    stderr.write(`\r\u001b[K${line()}`)
    isDrawn = true
  }

  function clear(): void {
    if (isDrawn) stderr.write('\r\u001b[K')
    isDrawn = false
  }

  return {
    report(event) {
      if (mode === 'json') stdout.write(`${JSON.stringify(event)}\n`)
      switch (event.event) {
        case 'plan':
          missingPaths += event.missingPaths
          missingBytes += event.missingBytes
          show(true)
          break
        case 'sent':
          samples.push({ atMs: now(), narBytes, wireBytes })
          while (samples.length > 2 && now() - samples[0]!.atMs > windowMs) samples.shift()
          narBytes += event.narBytes
          wireBytes += event.wireBytes
          show()
          break
        case 'path':
          if (event.status === 'pushed') pushedPaths++
          if (event.status === 'conflict' || event.status === 'refused') {
            clear()
            if (mode !== 'json') stderr.write(`${refusalLine(event.storePath, event.reason ?? event.status)}\n`)
          }
          show()
      }
    },
    note(text) {
      if (mode !== 'lines') return
      clear()
      stderr.write(`${text}\n`)
    },
    [Symbol.dispose]: clear,
  }
}

/** Most reasons name the path. */
const refusalLine = (storePath: string, reason: string) =>
  reason.includes(storePath) ? reason : `${storePath}: ${reason}`
