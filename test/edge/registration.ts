/**
 * What a connector says when it registers a connection, and what the edge answers: ConnectionOptions,
 * ConnectionResponse and their parts in cloudflared's tunnelrpc/proto/tunnelrpc.capnp. UUIDs travel as 16 raw bytes.
 */
import { type Struct, struct } from './capnp.ts'
import type { StructReader } from './capnp-reader.ts'

export interface RegistrationRequest {
  readonly accountTag: string
  readonly tunnelSecret: Buffer
  readonly tunnelId: string
  /** Which of the connector's links this is: 0 is the first. */
  readonly connIndex: number
  /** The connector's own id, new at each of its starts. */
  readonly connectorId: string
  readonly features: readonly string[]
  readonly version: string
  readonly arch: string
  readonly replaceExisting: boolean
  readonly previousAttempts: number
}

export interface RegistrationDetails {
  readonly connectionId: string
  readonly location: string
  readonly isRemotelyManaged: boolean
}

export interface Refusal {
  /** What real edges say: `Unauthorized: Invalid tunnel secret`, `Unauthorized: Tunnel not found`, `EDUPCONN`. */
  readonly cause: string
  readonly shouldRetry?: boolean
  readonly retryAfterMs?: number
}

export function readRegistration(params: StructReader): RegistrationRequest {
  const auth = params.struct(0)
  const options = params.struct(2)
  const client = options.struct(0)
  return {
    accountTag: auth.text(0),
    tunnelSecret: Buffer.from(auth.bytes(1)),
    tunnelId: formatUuid(params.bytes(1)),
    connIndex: params.u8(0),
    connectorId: formatUuid(client.bytes(0)),
    features: client.texts(1),
    version: client.text(2),
    arch: client.text(3),
    replaceExisting: options.bit(0),
    previousAttempts: options.u8(2),
  }
}

export function toRegistrationParams(request: RegistrationRequest): Struct {
  const none = () => {}
  const auth = struct(0, none, { text: request.accountTag }, { bytes: request.tunnelSecret })
  const client = struct(
    0,
    none,
    { bytes: parseUuid(request.connectorId) },
    { texts: request.features },
    { text: request.version },
    { text: request.arch },
  )
  const fill = (data: Buffer) => {
    data.writeUInt8(request.replaceExisting ? 1 : 0, 0)
    data.writeUInt8(request.previousAttempts, 2)
  }
  const options = struct(1, fill, { struct: client }, { bytes: Buffer.from([127, 0, 0, 1]) })
  return struct(
    1,
    (data) => data.writeUInt8(request.connIndex, 0),
    { struct: auth },
    { bytes: parseUuid(request.tunnelId) },
    { struct: options },
  )
}

export function toDetailsResult({ connectionId, location, isRemotelyManaged }: RegistrationDetails): Struct {
  const details = struct(
    1,
    (data) => data.writeUInt8(isRemotelyManaged ? 1 : 0, 0),
    { bytes: parseUuid(connectionId) },
    { text: location },
  )
  return response(1, details)
}

export function toRefusalResult({ cause, shouldRetry = false, retryAfterMs = 0 }: Refusal): Struct {
  const fill = (data: Buffer) => {
    data.writeBigInt64LE(BigInt(retryAfterMs) * 1_000_000n, 0)
    data.writeUInt8(shouldRetry ? 1 : 0, 8)
  }
  return response(0, struct(2, fill, { text: cause }))
}

function response(discriminant: 0 | 1, body: Struct): Struct {
  const union = struct(1, (data) => data.writeUInt16LE(discriminant, 0), { struct: body })
  return struct(0, () => {}, { struct: union })
}

/** What a connector reads from the answer to registerConnection. */
export function readRegistrationResult(results: StructReader): RegistrationDetails | Refusal {
  const union = results.struct(0)
  const body = union.struct(0)
  if (union.u16(0) === 0)
    return { cause: body.text(0), shouldRetry: body.bit(64), retryAfterMs: Number(body.u64(0) / 1_000_000n) }
  return { connectionId: formatUuid(body.bytes(0)), location: body.text(1), isRemotelyManaged: body.bit(0) }
}

export function formatUuid(bytes: Uint8Array): string {
  const hex = Buffer.from(bytes).toString('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

function parseUuid(text: string): Buffer {
  return Buffer.from(text.replaceAll('-', ''), 'hex')
}
