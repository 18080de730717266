/** The writer's thread, which ends when a body says so. */
import { parentPort } from 'node:worker_threads'

import '../../../src/store/depot/writer-worker.ts'
import type { ToWriter } from '../../../src/store/depot/writer-messages.ts'

parentPort!.on('message', (message: ToWriter) => {
  if (message.kind === 'chunk' && Buffer.from(message.bytes).includes('die now')) process.exit(1)
})
