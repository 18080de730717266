import { describe, expect, test } from '@jest/globals'

import { explainUnexecutable } from '../../../appliance/tunnel/explain/binary-diagnosis.ts'
import { explainProblem, type Wanted } from '../../../appliance/tunnel/explain/connector-problems.ts'
import { explainEnd, explainHang } from '../../../appliance/tunnel/explain/end-diagnosis.ts'

const wanted: Wanted = { mode: 'token', protocol: 'http2', extraArgs: [] }
const silent = { bareLine: undefined, stdout: '', problem: undefined, hasUpdated: false, signalled: undefined }
const exit = (code: number) => ({ code, signal: null, spawnFault: undefined })
const usage = 'Incorrect Usage: flag provided but not defined: -no-such\n\nNAME:\n   cloudflared tunnel\n'

describe('explainEnd', () => {
  test.each([
    [
      'a signal',
      { code: null, signal: 'SIGKILL', spawnFault: undefined },
      {},
      'backing-off',
      'soon',
      /was killed \(SIGKILL\).*memory/,
      /Out of memory/,
    ],
    [
      'another signal',
      { code: null, signal: 'SIGSEGV', spawnFault: undefined },
      {},
      'backing-off',
      'soon',
      /ended by SIGSEGV/,
      undefined,
    ],
    [
      'no fork',
      { code: null, signal: null, spawnFault: { code: 'EAGAIN', message: 'spawn EAGAIN' } },
      {},
      'backing-off',
      'soon',
      /cannot be started: spawn EAGAIN/,
      /memory/,
    ],
    ['exit 0', exit(0), {}, 'backing-off', 'soon', /without an error message/, undefined],
    [
      'a signal from elsewhere',
      exit(0),
      { signalled: 'terminated' },
      'backing-off',
      'soon',
      /ended from outside \(signal terminated\), not by Burrow/,
      /KillMode/,
    ],
    ['usage', exit(0), { stdout: usage }, 'failed', 'rarely', /does not know the flag -no-such/, /update cloudflared/],
    [
      'usage, as tunnel says it',
      exit(0),
      { stdout: usage.replace(':', '.') },
      'failed',
      'rarely',
      /does not know the flag -no-such/,
      /update cloudflared/,
    ],
    [
      'usage for a value, as tunnel says it',
      exit(0),
      { stdout: 'Incorrect Usage. invalid value "soon" for flag -grace-period: parse error\n' },
      'failed',
      'rarely',
      /arguments: invalid value "soon"/,
      /update/,
    ],
    [
      'usage for a value',
      exit(0),
      { stdout: 'Incorrect Usage: invalid value "x" for flag -grace-period\n' },
      'failed',
      'rarely',
      /arguments: invalid value "x"/,
      /update/,
    ],
    ['exit 11', exit(11), {}, 'backing-off', 'soon', /updated its own executable/, /read-only/],
    ['an update', exit(0), { hasUpdated: true }, 'backing-off', 'soon', /updated its own executable/, /read-only/],
    [
      'exit 255',
      exit(255),
      { bareLine: 'Provided Tunnel token is not valid.' },
      'failed',
      'rarely',
      /token is invalid: Provided/,
      /copy the token again/,
    ],
    [
      'a token file that is gone',
      exit(255),
      { bareLine: 'Failed to read token file: open x: no such file or directory' },
      'backing-off',
      'soon',
      /cannot read the token file/,
      /runtime directory/,
    ],
    [
      'exit 126',
      exit(126),
      { bareLine: 'setpriv: failed to execute x: Permission denied' },
      'failed',
      'rarely',
      /cannot be executed: setpriv/,
      /CPU architecture/,
    ],
    [
      'exit 127',
      exit(127),
      { bareLine: 'setpriv: failed to execute x: No such file or directory' },
      'failed',
      'rarely',
      /cannot be executed/,
      /loader/,
    ],
    [
      'a port',
      exit(1),
      { bareLine: 'Error opening metrics server listener: failed to bind to address (x)' },
      'backing-off',
      'soon',
      /metrics listener/,
      /extraArgs/,
    ],
    [
      'DNS',
      exit(1),
      { bareLine: 'Could not lookup srv records on _v2-origintunneld._tcp.argotunnel.com: x' },
      'backing-off',
      'network',
      /looked up/,
      /check DNS/,
    ],
    [
      'an edge that closes, after a line about DNS that was got over',
      exit(1),
      { bareLine: 'connection with edge closed', problem: { kind: 'dns', cause: 'lookup x: no such host' } as const },
      'backing-off',
      'network',
      /edge closed the connection/,
      /firewall or proxy/,
    ],
    [
      'a proxy that opens TLS',
      exit(1),
      {
        bareLine:
          'TLS handshake with edge error: tls: failed to verify certificate: x509: certificate signed by unknown authority',
      },
      'backing-off',
      'network',
      /in place of the edge/,
      /exempt the edge from TLS inspection/,
    ],
    [
      'a clock that is wrong',
      exit(1),
      {
        bareLine:
          'TLS handshake with edge error: tls: failed to verify certificate: x509: certificate has expired or is not yet valid: x',
      },
      'backing-off',
      'network',
      /not valid at this machine/,
      /clock/,
    ],
    [
      'credentials',
      exit(1),
      { bareLine: "Tunnel credentials file '/x' doesn't exist or is not a file" },
      'failed',
      'rarely',
      /credentials/,
      /credentialsFile/,
    ],
    [
      'a config',
      exit(1),
      { bareLine: 'error parsing YAML in config file at /x: yaml: line 1' },
      'failed',
      'rarely',
      /configuration/,
      /extraArgs/,
    ],
    [
      'a refusal',
      exit(1),
      { bareLine: 'x', problem: { kind: 'refused', cause: 'boom' } as const },
      'backing-off',
      'soon',
      /edge refuses the connection: boom/,
      /Cloudflare/,
    ],
    [
      'quick',
      exit(1),
      { bareLine: 'failed to request quick Tunnel: Post "https://api.trycloudflare.com/tunnel": x' },
      'backing-off',
      'later',
      /does not provide a quick tunnel/,
      /api\.trycloudflare/,
    ],
    [
      'anything',
      exit(1),
      { bareLine: 'some\u001b[31m words' },
      'backing-off',
      'soon',
      /^cloudflared ended: some \[31m words$/,
      undefined,
    ],
    ['nothing', exit(2), {}, 'backing-off', 'soon', /exit code 2/, undefined],
  ] as const)('%s', (_, end, words, state, pace, reason, remedy) => {
    const verdict = explainEnd(end, { ...silent, ...words }, wanted)
    expect(verdict).toMatchObject({ state, pace, reason: expect.stringMatching(reason) })
    if (remedy === undefined) expect(verdict.remedy).toBeUndefined()
    else expect(verdict.remedy).toMatch(remedy)
    expect(verdict.reason).not.toMatch(/\.$/)
  })

  test('names extraArgs where there are some', () => {
    expect(explainEnd(exit(0), { ...silent, stdout: usage }, { ...wanted, extraArgs: ['--no-such'] }).remedy).toContain(
      '["--no-such"]',
    )
  })
})

describe('explainProblem', () => {
  test.each([
    ['http2', /port 7844, TCP \(/],
    ['quic', /port 7844, UDP \(/],
    ['auto', /port 7844, UDP and TCP \(/],
  ] as const)('speaks of port 7844 as %s needs it', (protocol, remedy) => {
    expect(explainProblem({ kind: 'unreachable', cause: 'x' }, { ...wanted, protocol }).remedy).toMatch(remedy)
  })

  test.each([
    ['Unauthorized: Invalid tunnel secret', /its secret was changed/],
    ['Unauthorized: Tunnel not found', /no longer exists/],
    ['Unauthorized: Failed to get tunnel', /no longer exists/],
  ])('%s', (cause, remedy) => {
    expect(explainProblem({ kind: 'unauthorized', cause }, wanted)).toEqual({
      state: 'failed',
      pace: 'rarely',
      reason: `the edge refuses the token: ${cause}`,
      remedy: expect.stringMatching(remedy),
    })
    expect(explainProblem({ kind: 'unauthorized', cause }, { ...wanted, mode: 'credentials' }).reason).toContain(
      'the credentials',
    )
  })
})

test('explainHang takes a refused login for the cause', () => {
  expect(explainHang(true, 30_000, { kind: 'unauthorized', cause: 'Unauthorized: x' }, wanted)).toMatchObject({
    state: 'failed',
    pace: 'rarely',
  })
  expect(explainHang(true, 30_000, undefined, wanted)).toMatchObject({
    state: 'backing-off',
    reason: expect.stringContaining('30 s'),
  })
  expect(explainHang(false, 90_000, undefined, wanted)).toMatchObject({
    state: 'backing-off',
    reason: expect.stringContaining('90 s'),
  })
})

test.each([
  ['absent', 'missing-binary'],
  ['forbidden', 'failed'],
  ['foreign', 'failed'],
] as const)('explainUnexecutable says %s', (kind, state) => {
  expect(explainUnexecutable(kind, '/opt/cloudflared')).toMatchObject({
    state,
    pace: 'soon',
    reason: expect.stringContaining('"/opt/cloudflared"'),
  })
})
