/**
 * The subset of Nix's worker protocol that a reader of the store needs, as the client: handshake, AddTempRoot,
 * IsValidPath. A request is an opcode and its arguments; the reply is a run of frames (log lines, activities) up to
 * LAST or ERROR, then the result.
 *
 *   -> 0b00… "/nix/store/…"        <- 73746c61… (LAST) 0100…
 *
 * Source: Nix, src/libstore/worker-protocol.hh and daemon.cc. Speaks with daemons of versions 1.10 to 1.38 and, by the
 * rule of the lesser version, later ones.
 */
import { encodeInteger, encodeString, WireError, type WireReader } from './wire.ts'

const clientMagic = 0x6e697863
const daemonMagic = 0x6478696f
const ownMinor = 38
const oldestMinor = 10

const operations = { isValidPath: 1, addTempRoot: 11 }

const frames = {
  last: 0x616c7473,
  error: 0x63787470,
  next: 0x6f6c6d67,
  startActivity: 0x53545254,
  stopActivity: 0x53544f50,
  result: 0x52534c54,
  write: 0x64617416,
}

/** A log line or an error with its trace may be long; beyond this the daemon is not believed. */
const maxTextBytes = 1 << 20
const maxItems = 4096

/** The daemon refused the request; the connection stays usable. */
export class DaemonError extends Error {
  override readonly name = 'DaemonError'
}

export interface Wire {
  readonly reader: WireReader
  write(bytes: Uint8Array): void
}

/** @returns the minor version that both sides speak */
export async function shakeHands({ reader, write }: Wire): Promise<number> {
  write(encodeInteger(clientMagic))
  if ((await reader.readBigInteger()) !== BigInt(daemonMagic))
    throw new WireError('Cannot talk to the daemon: it does not speak the worker protocol')
  const version = await reader.readInteger()
  const minor = Math.min(version & 0xff, ownMinor)
  if (version >>> 8 !== 1 || version > 0xffff || minor < oldestMinor)
    throw new WireError(
      `Cannot talk to the daemon: it speaks version ${version >>> 8}.${version & 0xff}, wanted 1.${oldestMinor} or later`,
    )
  write(encodeInteger((1 << 8) | ownMinor))
  if (minor >= 38) {
    write(encodeInteger(0))
    for (let count = await reader.readInteger(maxItems); count > 0; count--) await reader.readString(maxTextBytes)
  }
  // Neither a CPU affinity nor reserved space.
  if (minor >= 14) write(encodeInteger(0))
  if (minor >= 11) write(encodeInteger(0))
  if (minor >= 33) await reader.readString(maxTextBytes)
  if (minor >= 35) await reader.readBigInteger()
  await readFrames(reader, minor)
  return minor
}

/**
 * Keeps the path from being collected for as long as this connection lasts. Succeeds for absent paths too. @throws
 * {DaemonError | WireError}
 */
export async function addTempRoot({ reader, write }: Wire, minor: number, storePath: string): Promise<void> {
  write(Buffer.concat([encodeInteger(operations.addTempRoot), encodeString(storePath)]))
  await readFrames(reader, minor)
  await reader.readBigInteger()
}

/** @throws {DaemonError | WireError} */
export async function isValidPath({ reader, write }: Wire, minor: number, storePath: string): Promise<boolean> {
  write(Buffer.concat([encodeInteger(operations.isValidPath), encodeString(storePath)]))
  await readFrames(reader, minor)
  return (await reader.readInteger(1)) === 1
}

/** Reads what precedes a result. @throws {DaemonError} when the daemon reports one instead */
export async function readFrames(reader: WireReader, minor: number): Promise<void> {
  for (;;) {
    const tag = await reader.readInteger()
    switch (tag) {
      case frames.last:
        return
      case frames.error:
        throw new DaemonError(await readError(reader, minor))
      case frames.next:
      case frames.write:
        await reader.readString(maxTextBytes)
        break
      case frames.startActivity:
        // Identity, level and type.
        for (let index = 0; index < 3; index++) await reader.readBigInteger()
        await reader.readString(maxTextBytes)
        await skipFields(reader)
        await reader.readBigInteger()
        break
      case frames.stopActivity:
        await reader.readBigInteger()
        break
      case frames.result:
        await reader.readBigInteger()
        await reader.readBigInteger()
        await skipFields(reader)
        break
      default:
        throw new WireError(`Cannot read from the daemon: it sent a frame of the unknown kind 0x${tag.toString(16)}`)
    }
  }
}

async function skipFields(reader: WireReader): Promise<void> {
  for (let count = await reader.readInteger(maxItems); count > 0; count--) {
    if ((await reader.readInteger(1)) === 1) await reader.readString(maxTextBytes)
    else await reader.readBigInteger()
  }
}

/** @returns the message without its terminal colours */
async function readError(reader: WireReader, minor: number): Promise<string> {
  if (minor < 26) {
    const message = await reader.readString(maxTextBytes)
    await reader.readBigInteger()
    return toPlainText(message)
  }
  await reader.readString(maxTextBytes)
  await reader.readBigInteger()
  await reader.readString(maxTextBytes)
  const message = await reader.readString(maxTextBytes)
  await reader.readBigInteger()
  for (let traces = await reader.readInteger(maxItems); traces > 0; traces--) {
    await reader.readBigInteger()
    await reader.readString(maxTextBytes)
  }
  return toPlainText(message)
}

const terminalCodes = new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*[A-Za-z]`, 'g')

function toPlainText(message: string): string {
  return message.replaceAll(terminalCodes, '').slice(0, 1000)
}
