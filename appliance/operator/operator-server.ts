/**
 * The operator's listener: `/healthz` (the program lives), `/readyz` (it can serve), `/status` (everything, as JSON),
 * `/metrics`, `/usage?days=…&user=…`, `/publish/explain?path=…`, and below `/depot/` and `/team/` the administration of depot and users
 * (depot-routes.ts, team-routes.ts). No authentication, loopback only, never routed through a tunnel. The Host header
 * must name this machine: a web page that made its own name point at 127.0.0.1
 * would otherwise read along.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'

import type { Log, PublishedStore, Team, Usage } from '../../src/index.ts'
import { type AdministeredDepot, answerDepot } from './depot-routes.ts'
import type { JsonAnswer } from './json-answer.ts'
import type { Metrics } from './metrics.ts'
import { answerPublish } from './publish-routes.ts'
import type { StatusReport } from './status.ts'
import { answerTeam } from './team-routes.ts'
import { formatTunnelState } from './tunnel-states.ts'
import { answerUsage } from './usage-route.ts'

export interface OperatorView {
  /** `undefined` when it can serve, else why not. */
  findImpediment(): string | undefined
  /** `undefined` before everything was opened. */
  readStatus(): StatusReport | undefined
  readonly metrics: Metrics
  /** `undefined` when there is none. */
  readonly depot?: AdministeredDepot | undefined
  /** `undefined`: everything is published. */
  readonly published?: PublishedStore | undefined
  /** `undefined`: usage figures are not recorded. */
  readonly usage?: Usage | undefined
  readonly team?: Team | undefined
  readonly log: Log
}

export function createOperatorServer(view: OperatorView): Server {
  const server = createServer(
    { maxHeaderSize: 8192, headersTimeout: 10_000, requestTimeout: 10_000 },
    (request, response) => {
      answer(view, request, response, typeof server.address() === 'string').catch((error: unknown) => {
        view.log.error({ err: error }, 'Could not answer the operator')
        response.destroy()
      })
    },
  )
  server.maxConnections = 64
  return server
}

async function answer(
  view: OperatorView,
  request: IncomingMessage,
  response: ServerResponse,
  isPrivate: boolean,
): Promise<void> {
  const send = (status: number, body: string, headers: Record<string, string> = {}) => {
    response.writeHead(status, {
      'Content-Type': 'text/plain; charset=utf-8',
      'Cache-Control': 'no-store',
      'X-Content-Type-Options': 'nosniff',
      'Content-Length': Buffer.byteLength(body),
      ...headers,
    })
    response.end(request.method === 'HEAD' ? undefined : body)
  }
  if (!namesThisMachine(request.headers.host)) return send(421, 'Misdirected Request\n')
  const commands = findCommands(view, request)
  if (commands !== undefined) {
    const answered = await commands(isPrivate)
    if (answered === undefined) return send(404, 'Not Found\n')
    // What was not read of a body must not be taken for the next request.
    const headers = {
      ...answered.headers,
      'Content-Type': 'application/json',
      ...(request.complete ? {} : { Connection: 'close' }),
    }
    return send(answered.status, `${JSON.stringify(answered.value)}\n`, headers)
  }
  if (request.url?.startsWith('/usage?') === true) {
    const { status, value } = await answerUsage(view.usage, request)
    return send(status, `${JSON.stringify(value)}\n`, { 'Content-Type': 'application/json' })
  }
  if (request.method !== 'GET' && request.method !== 'HEAD')
    return send(405, 'Method Not Allowed\n', { Allow: 'GET, HEAD' })
  switch (request.url) {
    case '/healthz':
      return send(200, 'ok\n')
    case '/readyz': {
      const impediment = view.findImpediment()
      return send(impediment === undefined ? 200 : 503, `${impediment ?? 'ready'}\n${tunnelLine(view)}`)
    }
    case '/status': {
      const report = view.readStatus()
      if (report === undefined) return send(503, 'starting\n', { 'Retry-After': '1' })
      return send(200, `${JSON.stringify(report)}\n`, { 'Content-Type': 'application/json' })
    }
    case '/metrics': {
      const { contentType, body } = await view.metrics.format()
      return send(200, body, { 'Content-Type': contentType })
    }
    default:
      return send(404, 'Not Found\n')
  }
}

function findCommands(
  { depot, team, published, readStatus }: OperatorView,
  request: IncomingMessage,
): ((isPrivate: boolean) => Promise<JsonAnswer | undefined>) | undefined {
  if (request.url?.startsWith('/depot/') === true) return (isPrivate) => answerDepot({ depot, request, isPrivate })
  if (request.url?.startsWith('/publish/') === true) return () => answerPublish(published, request)
  if (team === undefined || request.url?.startsWith('/team/') !== true) return undefined
  return (isPrivate) => answerTeam({ team, request, isPrivate, url: urlIn(readStatus()) })
}

function urlIn(report: StatusReport | undefined): string | undefined {
  if (report?.publicUrl != null) return report.publicUrl
  return report?.origin.url.startsWith('http') === true ? report.origin.url : undefined
}

/** For information only: clients on this machine are served without a tunnel, and a restart would not repair the edge. */
function tunnelLine(view: OperatorView): string {
  const report = view.readStatus()
  return report === undefined ? '' : `tunnel: ${formatTunnelState(report.tunnel)}\n`
}

/** Without a Host (HTTP/1.0 through a unix socket) there is no web page to fear. */
function namesThisMachine(host: string | undefined): boolean {
  return host === undefined || /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])?(?::\d+)?$/i.test(host)
}
