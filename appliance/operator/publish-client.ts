/**
 * Why a path is published or not: as the running Burrow says, which has its own copy of the config, or, if none runs,
 * as the config and the store say.
 */
import { type Explanation, Publication } from '../../src/index.ts'
import { Complaint } from '../complaint.ts'
import { type ConfigLocations, loadLocations } from '../config/load-config.ts'
import type { Machine } from '../machine.ts'
import { toPlace } from '../server/store-place.ts'
import { askBurrowAt, NotRunning } from './command-client.ts'

/** `policy`: `none` if the config has no rules, so that everything is published. */
export type PublishAnswer = { readonly policy: 'none' } | { readonly policy: 'some'; readonly explanation: Explanation }

export interface PublishReply {
  readonly answer: PublishAnswer
  /** Whether the running Burrow answered. */
  readonly isRunning: boolean
}

/** The answering thread may be reading a large store for the first time. */
const timeoutMs = 120_000

/** @throws {Complaint} config, refused */
export async function explainPublished(
  machine: Machine,
  file: string | undefined,
  storePath: string,
): Promise<PublishReply> {
  const config = loadLocations({ machine, file })
  const path = `/publish/explain?path=${encodeURIComponent(storePath)}`
  if (config.operator !== undefined) {
    try {
      const { address } = config.operator
      return { answer: await askBurrowAt<PublishAnswer>(address, { method: 'GET', path, timeoutMs }), isRunning: true }
    } catch (error) {
      if (!(error instanceof NotRunning)) throw error
    }
  }
  return { answer: explainHere(config, storePath), isRunning: false }
}

function explainHere({ publish, store }: ConfigLocations, storePath: string): PublishAnswer {
  if (publish === undefined) return { policy: 'none' }
  using publication = new Publication(publish, toPlace(store))
  try {
    publication.update()
  } catch (error) {
    throw new Complaint('refused', (error as Error).message, { cause: error })
  }
  return { policy: 'some', explanation: publication.explain(storePath) }
}
