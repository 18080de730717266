/**
 * Asks a connector's metrics listener: one request a time, each on a connection of its own, bounded in time and size.
 */
import { get } from 'node:http'

import type { TunnelClock } from '../tunnel-clock.ts'
import type { LoopbackAddress } from './readiness.ts'

/** A connector that lives answers in milliseconds; one on a machine that is out of breath in a second or two. */
const timeoutMs = 5_000

export interface MetricsClient {
  /** Of the listener. */
  readonly url: string
  /**
   * The body of the reply, whatever its status; `undefined` when there is none in time, or it is longer than that.
   * Never rejects.
   */
  read(path: string, maxBytes: number): Promise<string | undefined>
  /** Ends what is under way. */
  close(): void
}

export function createMetricsClient(address: LoopbackAddress, clock: TunnelClock): MetricsClient {
  const underWay = new Set<() => void>()
  let isClosed = false

  return {
    url: `http://${address.host === '::1' ? '[::1]' : address.host}:${address.port}`,
    read(path, maxBytes) {
      return new Promise((resolve) => {
        if (isClosed) return resolve(undefined)
        const chunks: Buffer[] = []
        let bytes = 0
        const request = get(
          { ...address, path, agent: false, maxHeaderSize: 16_384, headers: { connection: 'close' } },
          (response) => {
            response.on('data', (chunk: Buffer) => {
              bytes += chunk.length
              chunks.push(chunk)
              if (bytes > maxBytes) settle(undefined)
            })
            response.on('end', () => settle(response.complete ? Buffer.concat(chunks).toString() : undefined))
            response.on('error', () => settle(undefined))
          },
        )
        const abandon = () => settle(undefined)
        const cancelTimeout = clock.after(timeoutMs, abandon)
        const settle = (text: string | undefined) => {
          cancelTimeout()
          underWay.delete(abandon)
          request.destroy()
          resolve(text)
        }
        underWay.add(abandon)
        request.on('error', abandon)
      })
    },
    close() {
      isClosed = true
      for (const abandon of [...underWay]) abandon()
    },
  }
}
