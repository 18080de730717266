/** A download watched from outside, by the size of its file: it is ended when it takes too long, stands still, grows too large, or is not wanted any more. */
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'

import { Complaint } from '../../complaint.ts'
import type { TunnelClock } from '../tunnel-clock.ts'
import type { Fetch } from './fetch-release.ts'

export interface FetchLimits {
  readonly wholeMs: number
  /** So long it may bring nothing. */
  readonly stallMs: number
  readonly maxBytes: number
}

export interface FetchWatch {
  /** All that lies in it is the download's. */
  readonly dir: string
  readonly limits: FetchLimits
  readonly clock: Pick<TunnelClock, 'after'>
  readonly signal: AbortSignal
  readonly onProgress: (bytes: number) => void
}

const lookMs = 250

/** Why it was ended, to follow "Cannot install cloudflared: ". */
export class FetchStopped extends Error {
  override readonly name = 'FetchStopped'
}

/** Resolves when the download is done; in any other case it is ended. @throws {FetchStopped | Complaint}; what the download failed with is passed on */
export async function watchFetch(fetch: Fetch, watch: FetchWatch): Promise<void> {
  const { clock, limits, signal, dir, onProgress } = watch
  const ends: (() => void)[] = []
  const stopped = new Promise<never>((_resolve, reject) => {
    ends.push(
      clock.after(limits.wholeMs, () => reject(new FetchStopped(`it was not done within ${limits.wholeMs / 1000} s`))),
      watchSize(watch, reject),
      onAbort(signal, () => reject(new Complaint('interrupted', 'Interrupted: nothing was installed'))),
    )
  })
  try {
    await Promise.race([fetch.done, stopped])
    const bytes = await sizeOf(dir)
    if (bytes > limits.maxBytes) throw tooLarge(limits)
    onProgress(bytes)
  } finally {
    for (const end of ends) end()
    await fetch.stop()
  }
}

function watchSize({ dir, limits, clock, onProgress }: FetchWatch, onFault: (error: unknown) => void): () => void {
  let last = 0
  let stillMs = 0
  let isOver = false
  const look = async () => {
    const bytes = await sizeOf(dir)
    if (isOver) return
    if (bytes > limits.maxBytes) throw tooLarge(limits)
    stillMs = bytes === last ? stillMs + lookMs : 0
    if (stillMs >= limits.stallMs) throw new FetchStopped(`nothing came for ${limits.stallMs / 1000} s`)
    if (bytes !== last) onProgress(bytes)
    last = bytes
    lookLater()
  }
  let cancel = () => {}
  const lookLater = () => {
    cancel = clock.after(lookMs, () => void look().catch(onFault))
  }
  lookLater()
  return () => {
    isOver = true
    cancel()
  }
}

function onAbort(signal: AbortSignal, callback: () => void): () => void {
  if (signal.aborted) callback()
  signal.addEventListener('abort', callback)
  return () => signal.removeEventListener('abort', callback)
}

function tooLarge({ maxBytes }: FetchLimits): FetchStopped {
  return new FetchStopped(`what came is larger than ${maxBytes / (1024 * 1024)} MiB, and no cloudflared is`)
}

/** Of all files together. */
async function sizeOf(dir: string): Promise<number> {
  const names = await readdir(dir).catch(() => [])
  const sizes = await Promise.all(
    names.map((name) =>
      stat(join(dir, name)).then(
        ({ size }) => size,
        () => 0,
      ),
    ),
  )
  return sizes.reduce((sum, size) => sum + size, 0)
}
