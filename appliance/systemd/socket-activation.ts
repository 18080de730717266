/**
 * A listening socket that systemd bound and hands over (sd_listen_fds(3)): $LISTEN_FDS descriptors, from number 3 on,
 * for the process $LISTEN_PID. It stays open in systemd while Burrow restarts, so that connections wait instead of
 * being refused. Who made the unit decides where it is bound, so that is verified here.
 */
import { readFile, readlink } from 'node:fs/promises'
import type { Server } from 'node:net'

import { Complaint } from '../complaint.ts'
import { type ListenAddress, parseListenAddress } from '../config/listen-address.ts'
import type { Environment } from '../machine.ts'

/** SD_LISTEN_FDS_START */
const firstDescriptor = 3

/**
 * The descriptor of the one socket that was handed to this process; `undefined` when there is none.
 * @throws {Complaint} config
 */
export function findInheritedSocket(
  { LISTEN_FDS: count, LISTEN_PID: heir, LISTEN_FDNAMES: names }: Environment,
  pid: number,
): number | undefined {
  if (count === undefined || heir === undefined) return undefined
  if (!/^\d{1,10}$/.test(heir) || !/^\d{1,6}$/.test(count)) {
    throw refusal(`LISTEN_PID is "${heir}" and LISTEN_FDS "${count}"; unset them, or start Burrow by a socket unit`)
  }
  // Meant for a process that started us: its sockets are not ours.
  if (Number(heir) !== pid || Number(count) === 0) return undefined
  if (Number(count) > 1) {
    const named = names === undefined || names === '' ? '' : ` (${names.replaceAll(':', ', ')})`
    throw refusal(`there are ${count}${named}, and Burrow takes one; keep one ListenStream= in its socket unit`)
  }
  return firstDescriptor
}

/**
 * Where an adopted server, which listens on the descriptor by now, is bound. Call it in the tick of `listen`, before a
 * connection can be accepted.
 * @throws {Complaint} config: a place where others than this machine's users could connect
 */
export function requireLoopback(server: Server): Extract<ListenAddress, { kind: 'tcp' }> | 'unix' {
  const bound = server.address()
  // Node tells the address of TCP sockets alone.
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

/** The path of a unix socket, as the kernel knows it. @throws {Complaint} config */
export async function readSocketPath(descriptor: number): Promise<ListenAddress> {
  const path = await findSocketPath(descriptor)
  const parsed = parseListenAddress(`unix:${path ?? ''}`)
  if ('refusal' in parsed)
    throw refusal(
      'it has no name in the file system, by which file permissions could guard it; write ListenStream=/run/burrow.sock in its socket unit',
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
  return new Complaint('config', `Cannot take over the socket that systemd passed: ${why}`)
}
