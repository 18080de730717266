/** The scribe's thread, which ends when a body says so. */
import { parentPort } from 'node:worker_threads'

import '../../../src/store/depot/scribe-worker.ts'
import type { ToScribe } from '../../../src/store/depot/scribe-messages.ts'

parentPort!.on('message', (message: ToScribe) => {
  if (message.kind === 'chunk' && Buffer.from(message.bytes).includes('die now')) process.exit(1)
})
