/**
 * A server on an inherited socket, as `burrow serve` opens one: prints its process number and where it listens, drains
 * at SIGTERM; the complaint where it cannot.
 */

import { spawnSync } from 'node:child_process'
import { readdirSync, readlinkSync } from 'node:fs'
import { createServer } from 'node:http'

import { openListener } from '../../../appliance/server/listener.ts'
import { findInheritedSocket } from '../../../appliance/systemd/socket-activation.ts'

const server = createServer((request, response) => {
  if (request.url !== '/children') return void response.end(`hello from ${process.pid}`)
  const { stdout } = spawnSync('ls', ['-l', '/proc/self/fd'], { encoding: 'utf8' })
  response.end(stdout.includes(readlinkSync('/proc/self/fd/3')) ? 'the socket too' : 'not the socket')
})
try {
  const inheritedSocket = findInheritedSocket(process.env, process.pid)
  const listener = await openListener(
    server,
    { kind: 'tcp', host: '127.0.0.1', port: 0 },
    { drainMs: 1e8, inheritedSocket },
  )
  process.once('SIGTERM', () => void listener[Symbol.asyncDispose]())
  const descriptor = readdirSync('/proc/self/fd').includes('3')
    ? readlinkSync('/proc/self/fd/3').replace(/\d+/, 'N')
    : 'none'
  console.log(`${process.pid} ${listener.url} ${descriptor}`)
} catch (error) {
  console.log((error as Error).message)
  process.exit((error as { code?: string }).code === 'config' ? 78 : 1)
}
