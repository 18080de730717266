/**
 * The edge by itself, for trying things by hand and for machines of a NixOS test: what a connector needs is written
 * into a directory.
 *
 *   node test/edge/main.ts --hostname cache.test --http 8443 --connectors 7844 --write DIR [--host 0.0.0.0]
 *   DIR/token  DIR/credentials.json  DIR/ca.pem  DIR/edge.json
 */
import { copyFile, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

import { openEdge } from './edge.ts'

const { values } = parseArgs({
  options: {
    hostname: { type: 'string', default: 'cache.example.org' },
    host: { type: 'string', default: '127.0.0.1' },
    http: { type: 'string', default: '0' },
    connectors: { type: 'string', default: '0' },
    write: { type: 'string' },
  },
})
const edge = await openEdge({ hostname: values.hostname })
const http = await forward(Number(values.http), edge.url.slice('http://'.length))
const connectors = await forward(Number(values.connectors), edge.connectorAddress)
const facts = {
  url: `http://${values.host}:${http}`,
  connectorAddress: `${values.host}:${connectors}`,
  quickServiceUrl: edge.quickServiceUrl,
  caFile: edge.caFile,
}
if (values.write !== undefined) {
  await copyFile(edge.caFile, join(values.write, 'ca.pem'))
  await writeFile(join(values.write, 'credentials.json'), JSON.stringify(edge.credentials()))
  await writeFile(join(values.write, 'edge.json'), JSON.stringify(facts))
  // Last: whoever waits for it finds the rest.
  await writeFile(join(values.write, 'token'), edge.token())
}
process.stdout.write(`${JSON.stringify(facts)}\n`)
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, async () => {
    await edge[Symbol.asyncDispose]()
    process.exit(0)
  })
}

/** The edge itself listens on loopback ports of its own choice. */
async function forward(port: number, target: string): Promise<number> {
  const [host = '', targetPort] = target.split(':')
  const server = createServer({ noDelay: true }, (client) => {
    const inner = connect(Number(targetPort), host)
    client.pipe(inner).pipe(client)
    for (const [one, other] of [
      [client, inner],
      [inner, client],
    ] as const) {
      one.on('error', () => other.destroy())
      one.on('close', () => other.destroy())
    }
  })
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, values.host, resolve))
  return (server.address() as { port: number }).port
}
