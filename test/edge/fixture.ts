/** An edge with one plain connector on it, and eyeballs. */
import { request as httpRequest, type IncomingHttpHeaders, type RequestOptions } from 'node:http'

import { type Edge, type EdgeOptions, openEdge } from './edge.ts'
import { type Origin, openPlainConnection, type PlainConnection } from './plain-connector.ts'

export interface ConnectedEdge extends AsyncDisposable {
  readonly edge: Edge
  readonly connection: PlainConnection
}

export async function openConnectedEdge(origin: Origin, options: EdgeOptions = {}): Promise<ConnectedEdge> {
  await using opening = new AsyncDisposableStack()
  const edge = opening.use(await openEdge(options))
  const connection = opening.use(await openPlainConnection({ edge, token: edge.token(), origin }))
  await edge.connected(1)
  const resources = opening.move()
  return { edge, connection, [Symbol.asyncDispose]: () => resources.disposeAsync() }
}

export interface Answer {
  /** 0 when the connection broke before the header. */
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly rawHeaders: readonly string[]
  readonly body: Buffer
  readonly trailers: NodeJS.Dict<string>
  /** False when the connection broke before the body's end. */
  readonly isComplete: boolean
}

/** Never rejects. */
export function get(
  url: string,
  path: string,
  { body, ...options }: RequestOptions & { readonly body?: string | Buffer } = {},
): Promise<Answer> {
  return new Promise((resolve) => {
    // As options: a URL would be normalised.
    const { hostname, port } = new URL(url)
    const request = httpRequest({ hostname, port, path, agent: false, ...options })
    const broken = { status: 0, headers: {}, rawHeaders: [], body: Buffer.alloc(0), trailers: {}, isComplete: false }
    request.on('error', () => resolve(broken))
    request.once('response', (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', () => {})
      response.once('close', () => {
        const { statusCode, headers, rawHeaders, trailers, complete } = response
        resolve({
          status: statusCode!,
          headers,
          rawHeaders,
          trailers,
          body: Buffer.concat(chunks),
          isComplete: complete,
        })
      })
    })
    request.end(body)
  })
}

/** Unlike events.once, does not mind an error before. */
export function closed(emitter: { once(event: 'close', listener: () => void): unknown }): Promise<void> {
  return new Promise((resolve) => emitter.once('close', () => resolve()))
}
