import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'

import { encodeMessage, struct } from './capnp.ts'
import { MessageSplitter, readRoot } from './capnp-reader.ts'
import {
  readRegistration,
  readRegistrationResult,
  toDetailsResult,
  toRefusalResult,
  toRegistrationParams,
} from './registration.ts'
import {
  encodeBootstrap,
  encodeBootstrapReturn,
  encodeCall,
  encodeEmptyReturn,
  encodeException,
  encodeReturn,
  methods,
  readRpcMessage,
  registrationServer,
} from './rpc.ts'

const words = (text: string) => Buffer.from(text.replaceAll(/\s+/g, ''), 'hex')

/** Replies that cloudflared 2026.8 accepted. */
const accepted = {
  bootstrap:
    words(`000000000b000000 0000000001000100 0300000000000000 0000000002000100 0000000000000000 0000000000000000
    0000000000000200 0300000000000000 0100000017000000 0400000001000100 0100000000000000 0000000000000000`),
  details: words(`0000000011000000 0000000001000100 0300000000000000 0000000002000100 0100000000000000 0000000000000000
    0000000000000200 0400000000000100 0000000000000000 0000000001000100 0100000000000000 0000000001000200
    0000000000000000 0500000082000000 0900000032000000 0a0b0c0d11112222 3333444444444440 6c61623031000000`),
  refusal: words(`0000000013000000 0000000001000100 0300000000000000 0000000002000100 0100000000000000 0000000000000000
    0000000000000200 0400000000000100 0000000000000000 0000000001000100 0000000000000000 0000000002000100
    0000000000000000 0000000000000000 0100000022010000 556e617574686f72 697a65643a20496e 76616c6964207475
    6e6e656c20736563 7265740000000000`),
  empty: words(`0000000008000000 0000000001000100 0300000000000000 0000000002000100 0100000000000000 0000000000000000
    0000000000000200 fcffffff00000000 0000000000000000`),
  exception:
    words(`0000000009000000 0000000001000100 0300000000000000 0000000002000100 0100000000000100 0000000000000000
    0000000001000100 0000000000000000 010000002a000000 626f6f6d00000000`),
}

const details = { connectionId: '0a0b0c0d-1111-2222-3333-444444444440', location: 'lab01', isRemotelyManaged: false }

describe('the edge encodes byte for byte what cloudflared accepts', () => {
  test.each([
    ['the bootstrap capability', encodeBootstrapReturn(0), accepted.bootstrap],
    ['the details of a registered connection', encodeReturn(1, toDetailsResult(details)), accepted.details],
    [
      'a refused registration',
      encodeReturn(1, toRefusalResult({ cause: 'Unauthorized: Invalid tunnel secret' })),
      accepted.refusal,
    ],
    ['an empty result', encodeEmptyReturn(1), accepted.empty],
    ['an exception', encodeException(1, 'boom'), accepted.exception],
  ])('%s', (_, encoded, wanted) => {
    expect(encoded.toString('hex')).toBe(wanted.toString('hex'))
  })

  test('a remotely managed tunnel is bit 0 of the details, and nothing else changes', () => {
    const bytes = Buffer.from(accepted.details)
    bytes[12 * 8] = 1
    expect(encodeReturn(1, toDetailsResult({ ...details, isRemotelyManaged: true }))).toEqual(bytes)
  })
})

/**
 * Laid out by hand from rpc.capnp and tunnelrpc.capnp, by no encoder of ours; texts and bytes deliberately lie after
 * the structs.
 */
const handMade = {
  bootstrap: words(
    '0000000005000000 0000000001000100 0800000000000000 0000000001000100 0700000000000000 0000000000000000',
  ),
  unregister: words(`000000000c000000 0000000001000100 0200000000000000 0000000003000300
    0100000001000000 9754e87fec9516f7 0000000000000000
    0800000001000100 1400000000000200 0000000000000000
    0000000001000000 0000000001000100 0000000000000000`),
}

describe('readRpcMessage', () => {
  const read = (bytes: Buffer) => readRpcMessage(new MessageSplitter().push(bytes)[0]!)

  test('reads a hand-made bootstrap', () => {
    expect(read(handMade.bootstrap)).toEqual({ kind: 'bootstrap', question: 7 })
  })

  test('reads a hand-made call with params that lie beyond the message as a fault, not as zeros', () => {
    expect(() => read(handMade.unregister)).toThrow("of a Cap'n Proto segment")
  })

  test('reads a hand-made registration from two segments, joined by a far pointer', () => {
    const message = read(farRegistration())
    if (message.kind !== 'call') throw new Error(message.kind)
    expect(message).toMatchObject({ question: 1, method: methods.registerConnection, interfaceId: registrationServer })
    expect(readRegistration(message.params)).toMatchObject({
      connIndex: 3,
      accountTag: 'acct',
      tunnelId: '00010203-0405-0607-0809-0a0b0c0d0e0f',
    })
  })

  test('reads what the encoders write', () => {
    const request = {
      accountTag: 'a'.repeat(32),
      tunnelSecret: Buffer.alloc(32, 7),
      tunnelId: '11111111-2222-4333-8444-555555555555',
      connIndex: 2,
      connectorId: '99999999-2222-4333-8444-555555555555',
      features: ['serialized_headers', 'support_quic_eof'],
      version: '2026.8.2',
      arch: 'linux_amd64',
      replaceExisting: true,
      previousAttempts: 4,
    }
    const call = read(encodeCall(1, methods.registerConnection, toRegistrationParams(request)))
    if (call.kind !== 'call') throw new Error(call.kind)
    expect(readRegistration(call.params)).toEqual(request)
    const reply = read(accepted.details)
    if (reply.kind !== 'return') throw new Error(reply.kind)
    expect(readRegistrationResult(reply.results)).toEqual(details)
  })
})

describe('MessageSplitter', () => {
  test('gives several messages of one chunk, and a message of many chunks', () => {
    const bytes = Buffer.concat([encodeBootstrap(0), accepted.details, accepted.empty])
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 12 }), (cuts) => {
        const splitter = new MessageSplitter()
        const messages: Buffer[][] = []
        let at = 0
        for (const cut of [...cuts, bytes.length]) {
          messages.push(...splitter.push(bytes.subarray(at, at + cut)))
          at += cut
        }
        expect(messages.map(([segment]) => segment!.length / 8)).toEqual([5, 17, 8])
      }),
      { numRuns: 50 },
    )
  })

  test('refuses a header that claims more than any message has', () => {
    expect(() => new MessageSplitter().push(words('ffffffff00000000'))).toThrow('segments')
    expect(() => new MessageSplitter().push(words('00000000ffffff0f'))).toThrow('bytes')
  })
})

test('readRoot never reads outside the message, whatever the bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 8, maxLength: 160 }), (bytes) => {
      const segment = Buffer.from(bytes.subarray(0, bytes.length - (bytes.length % 8)))
      try {
        readRegistration(readRoot([segment]))
      } catch (error) {
        expect((error as Error).message).toContain("Cap'n Proto")
      }
    }),
  )
})

/** The message in segment 0 as far as the call; the params payload in segment 1, behind a far pointer. */
function farRegistration(): Buffer {
  const params = struct(
    1,
    (data) => data.writeUInt8(3, 0),
    { struct: struct(0, () => {}, { text: 'acct' }, undefined) },
    { bytes: Uint8Array.from({ length: 16 }, (_, i) => i) },
  )
  const payload = encodeMessage(struct(0, () => {}, { struct: params }, undefined)).subarray(8)
  const call = words(`0000000001000100 0200000000000000 0000000003000300
    0100000000000000 9754e87fec9516f7 0000000000000000
    0000000000000000 0200000001000000 0000000000000000`)
  const header = Buffer.alloc(16)
  header.writeUInt32LE(1, 0)
  header.writeUInt32LE(call.length / 8, 4)
  header.writeUInt32LE(payload.length / 8, 8)
  return Buffer.concat([header, call, payload])
}
