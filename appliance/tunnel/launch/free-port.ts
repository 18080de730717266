/**
 * A port of loopback on which nothing listens: requested, and released at once. Another process may take it before it
 * is used; the caller then tries another.
 */
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'

export async function findFreePort(host: string): Promise<number> {
  const server = createServer()
  server.listen({ port: 0, host, exclusive: true })
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}
