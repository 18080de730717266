/** One HTTP request with limits in time: to connect, and until the header of the reply has arrived. */
import { type Agent, request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'

export interface SentRequest {
  readonly method?: 'GET' | 'HEAD' | 'POST'
  readonly headers: Readonly<Record<string, string>>
  readonly body?: Buffer
  /** Until the header of the reply has arrived. */
  readonly headerTimeoutMs: number
  readonly signal?: AbortSignal
  readonly agent: Agent
}

/** A far end that takes longer to connect to is away, and Nix is not kept waiting. */
const connectTimeoutMs = 900

/** Rejects with the error of the connection. */
export function sendRequest(
  target: URL,
  { method = 'GET', headers, body, headerTimeoutMs, signal, agent }: SentRequest,
): Promise<IncomingMessage> {
  const isSecure = target.protocol === 'https:'
  const send = isSecure ? httpsRequest : httpRequest
  return new Promise((resolve, reject) => {
    const request = send(target, {
      method,
      agent,
      ...(signal && { signal }),
      headers: { ...(body && { 'content-length': String(body.byteLength) }), ...headers },
    })
    let timer: NodeJS.Timeout | undefined
    let connecting: NodeJS.Timeout | undefined
    // Until then it waits for a connection to be free, which says nothing about the far end.
    request.on('socket', (socket) => {
      const tooLate = () => request.destroy(new Error(`no answer within ${headerTimeoutMs} ms`))
      timer = setTimeout(tooLate, headerTimeoutMs)
      if (!socket.connecting) return
      const giveUp = () => request.destroy(new Error(`no connection within ${connectTimeoutMs} ms`))
      connecting = setTimeout(giveUp, connectTimeoutMs)
      socket.once(isSecure ? 'secureConnect' : 'connect', () => clearTimeout(connecting))
    })
    request.on('error', (error) => {
      clearTimeout(timer)
      clearTimeout(connecting)
      reject(error)
    })
    request.on('response', (reply) => {
      clearTimeout(timer)
      // Without a listener, an error of the body would end the program.
      reply.on('error', () => {})
      resolve(reply)
    })
    request.end(body)
  })
}
