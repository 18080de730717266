import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { expect, test } from '@jest/globals'

import { OpenResponses } from '../../appliance/server/open-responses.ts'

const createResponse = () => new ServerResponse(new IncomingMessage(new Socket()))

test('holds exactly those that were not removed, in whatever order they go', () => {
  const open = new OpenResponses()
  const expected = new Map<ServerResponse, () => void>()
  for (let at = 0; at < 500; at++) {
    const response = createResponse()
    expected.set(response, open.add(response))
    if (at % 3 === 2) {
      // The oldest, and then the newest.
      for (const [gone, remove] of [[...expected][0]!, [...expected].at(-1)!]) {
        remove()
        expected.delete(gone)
      }
    }
    expect(open.size).toBe(expected.size)
    expect(new Set(open.all())).toEqual(new Set(expected.keys()))
    expect(open.all()).toHaveLength(expected.size)
  }
})
