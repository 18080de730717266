/** `state.json`: `{"version":1,"user":{…},"tunnel":{…},"connectors":[…]}`. Keys of later versions are kept. */
import * as z from 'zod'

import { createPrivateDocument, type PrivateDocument } from './private-document.ts'

/** More connectors than ever run at once; the oldest records are dropped. */
export const maxConnectors = 16

const words = z.string().max(512)
const stateSchema = z.looseObject({
  version: z.literal(1),
  user: z.looseObject({ name: z.string().min(1), password: z.string().min(1) }).optional(),
  tunnel: z
    .looseObject({
      hostname: words.optional(),
      tunnelId: words.optional(),
      connectorId: words.optional(),
      lastConnected: words.optional(),
      restarts: z.int().min(0).optional(),
    })
    .optional(),
  connectors: z
    .array(
      z.looseObject({
        pid: z.int().min(1),
        startTime: words,
        configFile: z.string().max(4096),
        ownerPid: z.int().min(1),
        ownerStartTime: words,
      }),
    )
    .max(maxConnectors)
    .optional(),
})

export type StateContent = z.output<typeof stateSchema>

export type StateDocument = PrivateDocument<StateContent>

export function createStateDocument(file: string): StateDocument {
  return createPrivateDocument(file, {
    schema: stateSchema,
    empty: () => ({ version: 1 }),
    remedy: 'Burrow creates a new one without the users and passwords in it',
  })
}
