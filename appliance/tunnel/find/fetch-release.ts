/** One download of cloudflared, in a thread of its own, so that it can be ended at any time. */
import { Worker } from 'node:worker_threads'

import type { Environment } from '../launch/connector-env.ts'

export interface Fetch {
  /** Resolves when the file is there, whole as far as the installer can tell; rejects with the reason, which may have a `code` of the system's. */
  readonly done: Promise<void>
  /** Ends it, wherever it is. Idempotent. */
  stop(): Promise<void>
}

/** Writes the program of that version, and perhaps files beside it, at an absolute path in a directory that nothing else is in. */
export type StartFetch = (to: string, version: string, env: Environment) => Fetch

export interface FetchWorkerData {
  readonly to: string
  readonly version: string
  readonly proxyEnv: Record<string, string>
}

export type FetchWorkerMessage = { readonly isThere: true } | { readonly isThere: false; readonly code: string | undefined; readonly message: string }

const proxyVariables = ['HTTPS_PROXY', 'https_proxy', 'NO_PROXY', 'no_proxy']

/** By the installer of the npm package `cloudflared`, from GitHub. */
export const startFetch: StartFetch = (to, version, env) => {
  // Run from source or from a build.
  const extension = import.meta.url.slice(import.meta.url.lastIndexOf('.'))
  return startFetchThread(new URL(`./fetch-worker${extension}`, import.meta.url), { to, version, proxyEnv: toProxyEnv(env) })
}

export function startFetchThread(url: URL, workerData: FetchWorkerData): Fetch {
  const worker = new Worker(url, { workerData, env: {}, execArgv: [], name: 'cloudflared installer' })
  const done = new Promise<void>((resolve, reject) => {
    worker.once('message', (message: FetchWorkerMessage) => {
      if (message.isThere) resolve()
      else reject(Object.assign(new Error(message.message), { code: message.code }))
    })
    worker.once('error', reject)
    // The installer waits for ever for the rest of a reply that was cut, and nothing keeps its thread alive then.
    worker.once('exit', () => reject(new Error('the connection was cut')))
  })
  // It may be stopped before anybody waits.
  done.catch(() => {})
  return { done, stop: async () => void (await worker.terminate()) }
}

function toProxyEnv(env: Environment): Record<string, string> {
  return Object.fromEntries(proxyVariables.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])))
}
