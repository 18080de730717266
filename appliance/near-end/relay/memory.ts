/**
 * How V8 uses memory in a relay. Buffers of NARs pass by the thousand, each for milliseconds, and count as the heap's
 * memory: with V8's own limits it would collect the whole heap every few megabytes, which takes half of the processor
 * time. And it collects only while something is allocated: a program that has become idle would keep what its last busy
 * minute left behind.
 */
import type { Server } from 'node:http'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

import { whenIdle } from './idle.ts'

/** The heap is collected when it has grown to four times of what it held after the last time, buffers included. */
const growthPercent = 300
/** Longer than the relay keeps NARs that it fetched ahead. */
const idleMs = 75_000

/** Before the server listens. Collects `idleMs` after the last request, each time. */
export function manageMemory(server: Server): void {
  setFlagsFromString(`--heap-growing-percent=${growthPercent}`)
  whenIdle(server, idleMs, collectGarbage)
}

/** Takes some 20 ms. */
function collectGarbage(): void {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as (options: object) => void
  collect({ type: 'major', execution: 'sync', flavor: 'last-resort' })
}
