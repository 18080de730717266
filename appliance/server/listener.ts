/**
 * One HTTP server's life on an address: bound, answering, drained, closed. Draining lets requests under way finish,
 * closes each connection as its response ends, and at the limit destroys what is left: `server.close()` alone waits for
 * idle keep-alive connections.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'

import { formatListenAddress, type ListenAddress } from '../config/listen-address.ts'
import { adopt, bind } from './bind.ts'
import { OpenResponses } from './open-responses.ts'

/** An HTTP server that a supervisor can point a tunnel at, and drain. */
export interface Listener extends AsyncDisposable {
  /** With the port that was really bound. */
  readonly address: ListenAddress
  /** `http://127.0.0.1:8080`, or `unix:/path`: the form cloudflared takes for an origin service. */
  readonly url: string
  /** Requests being answered. */
  readonly requestsUnderWay: number
  readonly isDraining: boolean
  /**
   * Takes no new connections; resolves when none is left, at the latest after `limitMs`. Idempotent: later calls wait
   * for the first.
   */
  drain(limitMs: number): Promise<{ readonly cut: number }>
}

export interface ListenOptions {
  /** How long disposal lets requests under way go on. */
  readonly drainMs: number
  /** Permissions of a unix socket; connecting takes the right to write. */
  readonly socketMode?: number
  /**
   * A listening socket that systemd passed (`findInheritedSocket`): taken over in place of the address, if it is as
   * private.
   */
  readonly inheritedSocket?: number | undefined
}

/** @throws {Complaint} listen; config for an inherited socket that others can reach */
export async function openListener(server: Server, address: ListenAddress, options: ListenOptions): Promise<Listener> {
  const { drainMs, socketMode = 0o660, inheritedSocket } = options
  const life = watchConnections(server)
  const bound = await (inheritedSocket === undefined
    ? bind(server, address, socketMode)
    : adopt(server, inheritedSocket))
  let draining: Promise<{ cut: number }> | undefined
  const drain = (limitMs: number) => {
    draining ??= life.drain(limitMs)
    return draining
  }
  return {
    address: bound,
    url: urlOf(bound) ?? formatListenAddress(bound),
    get requestsUnderWay() {
      return life.underWay
    },
    get isDraining() {
      return draining !== undefined
    },
    drain,
    [Symbol.asyncDispose]: async () => void (await drain(drainMs)),
  }
}

/** How a client on this machine reaches it; `undefined` for a unix socket, for which there is no URL. */
export function urlOf(address: ListenAddress): string | undefined {
  return address.kind === 'unix' ? undefined : `http://${formatListenAddress(address)}`
}

function watchConnections(server: Server) {
  const underWay = new OpenResponses()
  let isDraining = false

  server.prependListener('request', (_request: IncomingMessage, response: ServerResponse) => {
    const remove = underWay.add(response)
    if (isDraining) response.shouldKeepAlive = false
    // It is emitted once. `once` would cost more.
    response.on('close', () => {
      remove()
      // The connection counts as idle only after this turn of the loop.
      if (isDraining) setImmediate(() => server.closeIdleConnections())
    })
  })

  return {
    get underWay() {
      return underWay.size
    },
    async drain(limitMs: number): Promise<{ cut: number }> {
      isDraining = true
      // The client learns from `Connection: close` that it must not ask again here.
      for (const response of underWay.all()) if (!response.headersSent) response.shouldKeepAlive = false
      let cut = 0
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeIdleConnections()
      const giveUp = () => {
        cut = underWay.size
        server.closeAllConnections()
      }
      const timer = limitMs === 0 ? undefined : setTimeout(giveUp, limitMs)
      if (limitMs === 0) giveUp()
      await closed
      clearTimeout(timer)
      return { cut }
    },
  }
}
