/**
 * A listening socket passed by systemd (sd_listen_fds(3)): $LISTEN_FDS descriptors, starting at number 3, for the
 * process $LISTEN_PID. systemd keeps it open while Burrow restarts, so that connections wait instead of being refused.
 * The unit decides where it is bound, so the address is checked here.
 */
import { readFile, readlink } from 'node:fs/promises'
import type { Server } from 'node:net'

import { Complaint } from '../complaint.ts'
import { type ListenAddress, parseListenAddress } from '../config/listen-address.ts'
import type { Environment } from '../machine.ts'

/** SD_LISTEN_FDS_START */
const firstDescriptor = 3

/**
 * The descriptor of the socket that was passed to this process; `undefined` if there is none.
 * @throws {Complaint} config
 */
export function findInheritedSocket(
  { LISTEN_FDS: count, LISTEN_PID: receiver, LISTEN_FDNAMES: names }: Environment,
  pid: number,
): number | undefined {
  if (count === undefined || receiver === undefined) return undefined
  if (!/^\d{1,10}$/.test(receiver) || !/^\d{1,6}$/.test(count)) {
    throw refusal(`LISTEN_PID is "${receiver}" and LISTEN_FDS "${count}"; unset them, or start Burrow by a socket unit`)
  }
  // Meant for the process that started us.
  if (Number(receiver) !== pid || Number(count) === 0) return undefined
  if (Number(count) > 1) {
    const named = names === undefined || names === '' ? '' : ` (${names.replaceAll(':', ', ')})`
    throw refusal(`there are ${count}${named}, but Burrow supports only one; keep one ListenStream= in its socket unit`)
  }
  return firstDescriptor
}

/**
 * The address of a server that listens on the descriptor. Call it in the same tick as `listen`, before a connection can
 * be accepted.
 * @throws {Complaint} config: not a loopback address
 */
export function requireLoopback(server: Server): Extract<ListenAddress, { kind: 'tcp' }> | 'unix' {
  const bound = server.address()
  // Node knows the address of TCP sockets only.
  if (bound === null || typeof bound === 'string') return 'unix'
  const text = bound.family === 'IPv6' ? `[${bound.address}]:${bound.port}` : `${bound.address}:${bound.port}`
  const parsed = parseListenAddress(text)
  if ('refusal' in parsed || parsed.kind !== 'tcp') {
    throw refusal(
      `it is bound to "${text}", which is not a loopback address; write ListenStream=127.0.0.1:${bound.port} in its socket unit`,
    )
  }
  return parsed
}

/** The path of a unix socket, from the kernel. @throws {Complaint} config */
export async function readSocketPath(descriptor: number): Promise<ListenAddress> {
  const path = await findSocketPath(descriptor)
  const parsed = parseListenAddress(`unix:${path ?? ''}`)
  if ('refusal' in parsed)
    throw refusal(
      'it has no path in the file system, so file permissions cannot protect it; write ListenStream=/run/burrow.sock in its socket unit',
    )
  return parsed
}

async function findSocketPath(descriptor: number): Promise<string | undefined> {
  const inode = /^socket:\[(\d+)\]$/.exec(await readlink(`/proc/self/fd/${descriptor}`))?.[1]
  // `Num RefCount Protocol Flags Type St Inode Path`
  const pattern = new RegExp(`^[0-9a-fA-F]+:(?: [0-9a-fA-F]+){5} +${inode} (/.*)$`, 'm')
  return inode === undefined ? undefined : pattern.exec(await readFile('/proc/self/net/unix', 'utf8'))?.[1]
}

function refusal(why: string): Complaint {
  return new Complaint('config', `Cannot use the socket that systemd passed: ${why}`)
}
