/** The real thread with the real installer, whose requests to GitHub go to a port of this machine without TLS. */
import http from 'node:http'
import https from 'node:https'
import { workerData } from 'node:worker_threads'

const { port } = workerData as { port: number }

https.get = ((url: string, callback: (response: http.IncomingMessage) => void) => {
  const { host, pathname } = new URL(url)
  return http.get({ host: '127.0.0.1', port, path: pathname, headers: { host } }, callback)
}) as typeof https.get

await import('../../../appliance/tunnel/find/fetch-worker.ts')
