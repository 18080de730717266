/** Notices that nothing is asked of a server. */
import type { Server } from 'node:http'

/** Node's timers take no more, about 25 days. */
const longestTimerMs = 2 ** 31 - 1

/** Calls back once each time after `idleMs` without a request. Ends with the server; keeps no program alive. */
export function whenIdle(server: Server, idleMs: number, callback: () => void): void {
  let underWay = 0
  const timer = setTimeout(
    () => {
      if (underWay === 0) callback()
    },
    Math.min(idleMs, longestTimerMs),
  ).unref()
  server.on('request', (_request, response) => {
    underWay++
    response.once('close', () => {
      underWay--
      timer.refresh()
    })
  })
}

/** As `whenIdle`, but only when no connection is open either: its next request would be lost. */
export function whenLeft(server: Server, idleMs: number, callback: () => void): void {
  const check = () =>
    server.getConnections((_error, connections) => {
      if (connections === 0) callback()
      else setTimeout(check, Math.min(idleMs, longestTimerMs)).unref()
    })
  whenIdle(server, idleMs, check)
}
