/** `/v1/client.mjs`: the client of this version in one file, for machines that push and only have Node. */
import type { Router } from 'express'
import { nosniff } from '../raw-headers.ts'
import { replyOf } from '../reply-of.ts'
import { createRouter } from '../router.ts'

/** Undefined if it was not built. */
export type ReadClientProgram = () => Promise<Uint8Array | undefined>

/** Instead of the program. */
export const clientMissing =
  'The client was not built: run "npm run bundle" in the folder of Burrow on the machine of this cache'

export function clientProgramRoute(readClientProgram: ReadClientProgram): Router {
  return createRouter().get('/v1/client.mjs', async (request) => {
    const reply = replyOf(request)
    reply.route = 'client'
    const program = await readClientProgram()
    if (program === undefined) reply.refuse(404, [], clientMissing)
    else reply.send(200, 'found', ['Content-Type', 'text/javascript; charset=utf-8', ...nosniff], program)
  })
}
