/** `/search?q=`: paths by name. With `part=results`, only what the script replaces. */
import type { Router } from 'express'

import { parseHashPart } from '../../nix/store-path.ts'
import { htmlType, pageHeaders } from '../pages/document.ts'
import { renderResults, renderSearchPage, type SearchFacts } from '../pages/search-page.ts'
import { sendPage } from '../pages/send-page.ts'
import type { Site } from '../pages/site.ts'
import { replyOf } from '../reply-of.ts'
import { createRouter } from '../router.ts'

const maxQueryLength = 200
const maxWords = 8
const pageLength = 50

export function searchRoute({ names, particulars }: Site): Router {
  return createRouter().get('/search', async (request) => {
    const reply = replyOf(request)
    reply.route = 'page'
    const query = textOf(request.query.q).trim().slice(0, maxQueryLength)
    const before = /^\d{1,15}$/.test(textOf(request.query.before)) ? Number(request.query.before) : undefined
    await names.update()
    const page = await names.search(toWords(query), pageLength, before)
    const facts: SearchFacts = {
      query,
      page,
      names: names.size,
      isComplete: names.isComplete,
      isFurther: before !== undefined,
      now: new Date(),
    }
    if (request.query.part === 'results')
      reply.send(200, 'missed', ['Content-Type', htmlType, ...pageHeaders], renderResults(facts).toString())
    else sendPage(reply, particulars(), { title: 'Search', current: 'search' }, renderSearchPage(facts), 'missed')
  })
}

/** A whole store path is searched for by its hash part. */
function toWords(query: string): string[] {
  const [, hashPart = ''] = /^(?:\/[^\s]*\/)?([0-9a-z]{32})(?:-\S*|\.narinfo)?$/.exec(query) ?? []
  if (parseHashPart(hashPart) !== undefined) return [hashPart]
  return query
    .split(/\s+/)
    .filter((word) => word !== '')
    .slice(0, maxWords)
}

/** A parameter that was given twice is a list. */
const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')
