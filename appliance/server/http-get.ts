/**
 * One GET, bounded in time and size, that follows nothing and never rejects: what came back, or why nothing did.
 * For looking at servers one does not trust to be what they should be.
 */
import { request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'

import { systemCodeOf } from '../complaint.ts'

export interface GetOptions {
  /** Connect here instead of to the URL's host. */
  readonly socketPath?: string
  readonly headers?: Readonly<Record<string, string>>
  /** From the start to the last byte. */
  readonly timeoutMs: number
  /** Of the body; the connection is closed when more comes. */
  readonly maxBytes: number
}

export interface HttpAnswer {
  readonly kind: 'answer'
  readonly status: number
  /** `1.1` */
  readonly httpVersion: string
  /** Names in lower case; values of repeated headers are joined. */
  readonly headers: Readonly<Record<string, string>>
  /** As it came, at most `maxBytes`. */
  readonly body: Buffer
  /** False when more was to come, or the connection broke. */
  readonly isWhole: boolean
}

export interface HttpFailure {
  readonly kind: 'failure'
  /** Node's code (`ECONNREFUSED`, `ENOTFOUND`, `CERT_HAS_EXPIRED`, …), or `TIMEOUT`. */
  readonly code: string
  readonly message: string
}

export type HttpOutcome = HttpAnswer | HttpFailure

export function httpGet(url: URL, { socketPath, headers = {}, timeoutMs, maxBytes }: GetOptions): Promise<HttpOutcome> {
  return new Promise((resolve) => {
    const request = (url.protocol === 'https:' ? requestHttps : requestHttp)(url, {
      agent: false,
      headers: { ...headers },
      ...(socketPath === undefined ? {} : { socketPath }),
    })
    let finish = (outcome: HttpOutcome) => {
      finish = () => {}
      clearTimeout(timer)
      request.destroy()
      resolve(outcome)
    }
    let giveUp = () => finish({ kind: 'failure', code: 'TIMEOUT', message: `no answer within ${timeoutMs / 1000} s` })
    const timer = setTimeout(() => giveUp(), timeoutMs)

    request.on('error', (error) =>
      finish({ kind: 'failure', code: systemCodeOf(error) ?? 'ERROR', message: error.message }),
    )
    // An unexpected 101.
    request.on('upgrade', () =>
      finish({ kind: 'failure', code: 'UPGRADE', message: 'it answered with another protocol' }),
    )
    request.on('response', (response) => {
      const chunks: Buffer[] = []
      let size = 0
      const answer = (isWhole: boolean): HttpAnswer => ({
        kind: 'answer',
        status: response.statusCode ?? 0,
        httpVersion: response.httpVersion,
        headers: joinHeaders(response.headersDistinct),
        body: Buffer.concat(chunks).subarray(0, maxBytes),
        isWhole,
      })
      giveUp = () => finish(answer(false))
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk)
        size += chunk.length
        if (size > maxBytes) finish(answer(false))
      })
      response.on('error', () => finish(answer(false)))
      response.on('close', () => finish(answer(response.complete)))
    })
    request.end()
  })
}

function joinHeaders(distinct: NodeJS.Dict<string[]>): Record<string, string> {
  return Object.fromEntries(Object.entries(distinct).map(([name, values]) => [name, (values ?? []).join(', ')]))
}
