/**
 * The few messages of Cap'n Proto RPC (two-party, level 1) that a connector's control stream carries. The connector
 * asks, the edge answers:
 *
 *   Bootstrap 0 · Call 1 on promisedAnswer 0: registerConnection   →   Return 0: a capability · Return 1: the result
 *
 * Sources: capnproto's rpc.capnp; cloudflared's tunnelrpc/proto/tunnelrpc.capnp.
 */
import { encodeMessage, type Pointer, type Struct, struct } from './capnp.ts'
import { readRoot, type StructReader } from './capnp-reader.ts'

/** RegistrationServer in tunnelrpc.capnp, and its methods. */
export const registrationServer = 0xf71695ec7fe85497n
export const methods = { registerConnection: 0, unregisterConnection: 1, updateLocalConfiguration: 2 } as const

export const tags = { abort: 1, call: 2, return: 3, finish: 4, bootstrap: 8 } as const

export type RpcMessage =
  | { readonly kind: 'bootstrap'; readonly question: number }
  | {
      readonly kind: 'call'
      readonly question: number
      readonly interfaceId: bigint
      readonly method: number
      readonly params: StructReader
    }
  | {
      readonly kind: 'return'
      readonly answer: number
      readonly exception: string | undefined
      readonly results: StructReader
    }
  | { readonly kind: 'finish'; readonly question: number }
  | { readonly kind: 'abort'; readonly reason: string }
  | { readonly kind: 'other'; readonly tag: number }

export function readRpcMessage(segments: readonly Buffer[]): RpcMessage {
  const message = readRoot(segments)
  const tag = message.u16(0)
  if (tag === tags.bootstrap) return { kind: 'bootstrap', question: message.struct(0).u32(0) }
  if (tag === tags.finish) return { kind: 'finish', question: message.struct(0).u32(0) }
  if (tag === tags.abort) return { kind: 'abort', reason: message.struct(0).text(0) }
  if (tag === tags.call) {
    const call = message.struct(0)
    return {
      kind: 'call',
      question: call.u32(0),
      method: call.u16(4),
      interfaceId: call.u64(8),
      params: call.struct(1).struct(0),
    }
  }
  if (tag === tags.return) return readReturn(message.struct(0))
  return { kind: 'other', tag }
}

function readReturn(reply: StructReader): RpcMessage {
  const isException = reply.u16(6) === 1
  const payload = reply.struct(0)
  // The bootstrap's content is a capability, not a struct; nobody here looks into it.
  const results = isException || reply.u32(0) === 0 ? payload : payload.struct(0)
  return { kind: 'return', answer: reply.u32(0), exception: isException ? payload.text(0) : undefined, results }
}

function message(tag: number, body: Struct): Buffer {
  return encodeMessage(struct(1, (data) => data.writeUInt16LE(tag, 0), { struct: body }))
}

function returned(answer: number, which: 0 | 1, body: Struct): Buffer {
  const fill = (data: Buffer) => {
    data.writeUInt32LE(answer, 0)
    data.writeUInt16LE(which, 6)
  }
  return message(tags.return, struct(2, fill, { struct: body }))
}

const none = () => {}

/** Answers the bootstrap with capability 0, which the edge hosts. */
export function encodeBootstrapReturn(answer: number): Buffer {
  const hostedByUs = struct(1, (data) => data.writeUInt16LE(1, 0), undefined)
  return returned(answer, 0, struct(0, none, { capability: 0 }, { structs: [hostedByUs] }))
}

export function encodeReturn(answer: number, results: Struct): Buffer {
  return returned(answer, 0, struct(0, none, { struct: results }, undefined))
}

export function encodeEmptyReturn(answer: number): Buffer {
  return encodeReturn(answer, struct(0, none))
}

export function encodeException(answer: number, reason: string): Buffer {
  return returned(answer, 1, struct(1, none, { text: reason }))
}

export function encodeBootstrap(question: number): Buffer {
  return message(
    tags.bootstrap,
    struct(1, (data) => data.writeUInt32LE(question, 0), undefined),
  )
}

/** A call of a RegistrationServer method on what the bootstrap, question 0, will give. */
export function encodeCall(question: number, method: number, params: Struct): Buffer {
  const promisedAnswer = struct(1, none, undefined)
  const target = struct(1, (data) => data.writeUInt16LE(1, 4), { struct: promisedAnswer })
  const payload: Pointer = { struct: struct(0, none, { struct: params }, undefined) }
  const fill = (data: Buffer) => {
    data.writeUInt32LE(question, 0)
    data.writeUInt16LE(method, 4)
    data.writeBigUInt64LE(registrationServer, 8)
  }
  return message(tags.call, struct(3, fill, { struct: target }, payload, undefined))
}

export function encodeFinish(question: number): Buffer {
  return message(
    tags.finish,
    struct(1, (data) => data.writeUInt32LE(question, 0)),
  )
}
