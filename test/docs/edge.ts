/**
 * Cloudflare for one session: `https://cache.example.org` on the usual port, for a machine whose hosts file leads
 * there. Writes the tunnel's token, and a `cloudflared` that is the stand-in, pointed at this edge.
 *
 *   node test/docs/edge.ts DIR BIN      DIR/token DIR/ca.pem BIN/cloudflared; then a line "ready"
 */
import { copyFile, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'

import { openEdge } from '../edge/edge.ts'
import { connectorArgs, connectorBinary } from '../fixtures/connectors/binary.ts'

const [dir = '', bin = ''] = process.argv.slice(2)
const edge = await openEdge({ hostname: 'cache.example.org' })
await copyFile(edge.caFile, join(dir, 'ca.pem'))
await writeFile(join(dir, 'token'), `${edge.token()}\n`)
const quoted = connectorArgs(edge).map((arg) => `'${arg}'`)
const script = [
  '#!/bin/sh',
  `[ "$1" = tunnel ] || exec '${connectorBinary}' "$@"`,
  'shift',
  `exec '${connectorBinary}' tunnel ${quoted.join(' ')} "$@"`,
]
await writeFile(join(bin, 'cloudflared'), `${script.join('\n')}\n`, { mode: 0o755 })

const port = Number(new URL(edge.httpsUrl).port)
const server = createServer((client) => {
  const inner = connect(port, '127.0.0.1')
  client.pipe(inner).pipe(client)
  client.on('error', () => inner.destroy())
  inner.on('error', () => client.destroy())
})
server.listen(443, '127.0.0.1', () => process.stdout.write('ready\n'))
