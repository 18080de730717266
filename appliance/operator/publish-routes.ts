/** `/publish/explain?path=/nix/store/…` on the operator's listener: why a path is published or not. */
import type { IncomingMessage } from 'node:http'

import type { PublishedStore } from '../../src/index.ts'
import { fail, type JsonAnswer, succeed, useMethod } from './json-answer.ts'

const maxPathLength = 300

/** Undefined: there is no such address. */
export async function answerPublish(
  published: PublishedStore | undefined,
  { method, url }: IncomingMessage,
): Promise<JsonAnswer | undefined> {
  const { pathname, searchParams } = new URL(url ?? '/', 'http://localhost')
  if (pathname !== '/publish/explain') return undefined
  if (method !== 'GET') return useMethod('GET')
  const path = searchParams.get('path') ?? ''
  if (path.length > maxPathLength) return fail(400, 'The path is too long')
  if (published === undefined) return succeed({ policy: 'none' })
  const explanation = await published.explain(path)
  return explanation === undefined
    ? fail(503, published.health().problem ?? 'The published paths cannot be determined now: try again')
    : succeed({ policy: 'some', explanation })
}
