/**
 * Replies of the edge's own. Short bodies are `error code: N`, as eyeballs that are no browser get them; 502 and
 * challenges are HTML. Source: https://developers.cloudflare.com/support/troubleshooting/http-status-codes/
 */
import type { ServerResponse } from 'node:http'

import type { HeaderLines } from './reply-head.ts'

export type ErrorPage = 'too-large' | 'challenge' | 'no-connector' | 'bad-gateway' | 'odd-answer' | 'no-answer'

interface Page {
  readonly status: number
  readonly type: string
  readonly body: string
  readonly headers?: HeaderLines
}

const html = (title: string, text: string) =>
  `<!DOCTYPE html>\n<html lang="en-US"><head><title>${title}</title><meta charset="UTF-8" /></head>\n<body><h1>${title}</h1><p>${text}</p></body></html>\n`

const pages: Readonly<Record<ErrorPage, Page>> = {
  'too-large': {
    status: 413,
    type: 'text/html',
    body: '<html>\r\n<head><title>413 Request Entity Too Large</title></head>\r\n<body><center>cloudflare</center></body>\r\n</html>\r\n',
  },
  challenge: {
    status: 403,
    type: 'text/html; charset=UTF-8',
    body: html('Just a moment...', 'Enable JavaScript and cookies to continue'),
    headers: [
      ['cf-mitigated', 'challenge'],
      ['Cache-Control', 'private, max-age=0, no-store, no-cache, must-revalidate, post-check=0, pre-check=0'],
    ],
  },
  // Error 1033 is shown inside of a 530.
  'no-connector': { status: 530, type: 'text/plain; charset=UTF-8', body: 'error code: 1033' },
  'bad-gateway': {
    status: 502,
    type: 'text/html; charset=UTF-8',
    body: html('502 Bad gateway', 'The web server reported a bad gateway error.'),
  },
  'odd-answer': { status: 520, type: 'text/plain; charset=UTF-8', body: 'error code: 520' },
  'no-answer': { status: 524, type: 'text/plain; charset=UTF-8', body: 'error code: 524' },
}

export function sendErrorPage(response: ServerResponse, name: ErrorPage, ray: string): void {
  const { status, type, body, headers = [] } = pages[name]
  const length = String(Buffer.byteLength(body))
  response.writeHead(
    status,
    [...headers, ['Content-Type', type], ['Content-Length', length], ['Server', 'cloudflare'], ['CF-RAY', ray]].flat(),
  )
  response.end(body)
}
