/**
 * Gives memory back while nothing is asked of a server. V8 collects garbage only while something is allocated, so a
 * program that has become idle would keep what its last busy minute left behind.
 */
import type { Server } from 'node:http'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** Longer than the relay keeps NARs that it fetched ahead. */
const idleMs = 75_000

/** `idleMs` after the last request, each time. Ends with the server. */
export function collectWhenIdle(server: Server): void {
  let underWay = 0
  const timer = setTimeout(() => {
    if (underWay === 0) collectGarbage()
  }, idleMs).unref()
  server.on('request', (_request, response) => {
    underWay++
    response.once('close', () => {
      underWay--
      timer.refresh()
    })
  })
}

/** Takes some 20 ms. */
function collectGarbage(): void {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as (options: object) => void
  collect({ type: 'major', execution: 'sync', flavor: 'last-resort' })
}
