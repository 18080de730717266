/**
 * One request that an eyeball made, and what became of it. The record is there as soon as the request is, and its
 * fields fill as it goes on.
 */
import type { OutgoingHttpHeaders } from 'node:http2'

export type CacheStatus = 'HIT' | 'MISS' | 'EXPIRED' | 'BYPASS' | 'DYNAMIC'

export interface Exchange {
  readonly method: string
  readonly path: string
  readonly ray: string
  readonly authorization: string | undefined
  /** 0 until there is one; 499 when the eyeball left before. */
  status: number
  /** `undefined` where the cache had no part, as on the edge's error pages. */
  cacheStatus: CacheStatus | undefined
  /** Whether the body came out of the edge's cache. */
  fromCache: boolean
  /** What was sent to the connector; `undefined` when nothing was. HEAD may have become GET here. */
  connectorHeaders: OutgoingHttpHeaders | undefined
  /** Which of the connector's connections carried it. */
  connIndex: number | undefined
  /** Body bytes taken from the connector or the cache. */
  bytes: number
  /** Body bytes of the request that the edge passed on. */
  requestBytes: number
  isFinished: boolean
  /** Finished, and the eyeball got the whole reply. */
  isComplete: boolean
}
