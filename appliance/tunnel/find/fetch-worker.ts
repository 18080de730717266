/** A thread that runs the installer of the npm package `cloudflared`, which has no limit of its own and is ended from outside. Data: where to, which version, the proxy to go by. */
import { chmodSync } from 'node:fs'
import https from 'node:https'
import { parentPort, workerData } from 'node:worker_threads'
import { install } from 'cloudflared'

import type { FetchWorkerData, FetchWorkerMessage } from './fetch-release.ts'

const { to, version, proxyEnv } = workerData as FetchWorkerData

const tell = (message: FetchWorkerMessage) => parentPort!.postMessage(message)

// What `https.get` goes by unless it is given another.
https.globalAgent = new https.Agent({ proxyEnv })

install(to, version)
  // It has made it executable, and nobody has looked at it yet.
  .then(() => chmodSync(to, 0o600))
  .then(
    () => tell({ isThere: true }),
    (error: NodeJS.ErrnoException & { errors?: NodeJS.ErrnoException[] }) => {
      // Of several addresses that were tried each has its own error, and the whole has no message.
      const { code, message } = error.errors?.[0] ?? error
      tell({ isThere: false, code: code ?? error.code, message })
    },
  )
