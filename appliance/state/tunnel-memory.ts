/**
 * What the tunnel's supervisor keeps in `state.json`. If the file cannot be written, a warning is logged and the tunnel
 * continues without it.
 */
import { isDeepStrictEqual } from 'node:util'

import type { Log } from '../../src/index.ts'
import { reasonOf } from '../complaint.ts'
import type { ConnectorRecord, TunnelFacts, TunnelMemory } from '../tunnel/tunnel.ts'
import { maxConnectors, type StateContent, type StateDocument } from './state-document.ts'

export async function openTunnelMemory(document: StateDocument, log: Log): Promise<TunnelMemory> {
  const content = await document.find()
  let connectors: readonly ConnectorRecord[] = content?.connectors ?? []
  let facts: TunnelFacts = content?.tunnel ?? {}

  async function write(change: (content: StateContent) => void): Promise<void> {
    try {
      await document.update(change)
    } catch (error) {
      log.warn({ reason: reasonOf(error) }, 'Cannot save the state of the tunnel; it continues without')
    }
  }

  return {
    get connectors() {
      return connectors
    },
    async addConnector(record) {
      connectors = [...connectors, record]
      await write((state) => {
        state.connectors = [...(state.connectors ?? []).filter(({ pid }) => pid !== record.pid), { ...record }].slice(
          -maxConnectors,
        )
      })
    },
    async removeConnector(pid) {
      connectors = connectors.filter((record) => record.pid !== pid)
      await write((state) => {
        state.connectors = (state.connectors ?? []).filter((record) => record.pid !== pid)
      })
    },
    async remember(next) {
      const merged = { ...facts, ...next }
      if (isDeepStrictEqual(merged, facts)) return
      facts = merged
      await write((state) => {
        const known = Object.entries({ ...state.tunnel, ...next }).filter(([, value]) => value !== undefined)
        state.tunnel = Object.fromEntries(known) as StateContent['tunnel']
      })
    },
  }
}
