import { execFileSync } from 'node:child_process'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { describe, expect, test } from '@jest/globals'

import { LaunchFault } from '../../../appliance/tunnel/launch/launch.ts'
import { isExposed, loadTunnelSecret } from '../../../appliance/tunnel/launch/secret.ts'
import { createScratchDir } from '../scratch-dir.ts'
import { credentialsText, identity, token } from './tunnel-identity.ts'

const faultOf = (promise: Promise<unknown>) =>
  promise.then(
    () => {
      throw new Error('It did not fail')
    },
    (error: unknown) => error as LaunchFault,
  )

describe('loadTunnelSecret', () => {
  test('a quick tunnel has none', async () => {
    expect(await loadTunnelSecret({ kind: 'none' })).toEqual({ kind: 'none' })
  })

  test('a token, from the config or from a file, without the space around it', async () => {
    await using dir = await createScratchDir()
    await writeFile(dir.file('token'), `\n${token}\r\n`)
    expect(await loadTunnelSecret({ kind: 'token', token: ` ${token}\n` })).toEqual({ kind: 'token', token, identity })
    expect(await loadTunnelSecret({ kind: 'token-file', file: dir.file('token') })).toEqual({
      kind: 'token',
      token,
      identity,
    })
  })

  test('credentials stay in their file', async () => {
    await using dir = await createScratchDir()
    await writeFile(dir.file('c.json'), credentialsText)
    expect(await loadTunnelSecret({ kind: 'credentials-file', file: dir.file('c.json') })).toEqual({
      kind: 'credentials',
      file: dir.file('c.json'),
      identity,
    })
  })

  test('reads the file anew each time: a rotated token is taken at the next start', async () => {
    await using dir = await createScratchDir()
    const secret = { kind: 'token-file', file: dir.file('token') } as const
    await writeFile(secret.file, 'not yet')
    expect(await faultOf(loadTunnelSecret(secret))).toBeInstanceOf(LaunchFault)
    await writeFile(secret.file, token)
    expect(await loadTunnelSecret(secret)).toMatchObject({ token })
  })

  test.each<[string, string, RegExp]>([
    ['absent', '', /which holds the tunnel's secret, cannot be read: it does not exist/],
    ['directory', 'mkdir', /is no file/],
    ['pipe', 'mkfifo', /is no file/],
    ['large', 'large', /is too large/],
    ['credentials', credentialsText, /^the token in ".*credentials" is JSON/],
  ])('a file that is %s is named, with a remedy', async (name, content, expected) => {
    await using dir = await createScratchDir()
    const file = dir.file(name)
    if (content === 'mkdir') await mkdir(file)
    else if (content === 'mkfifo') execFileSync('mkfifo', [file])
    else if (content !== '') await writeFile(file, content === 'large' ? 'x'.repeat(70_000) : content)
    const fault = await faultOf(loadTunnelSecret({ kind: 'token-file', file }))
    expect(fault).toBeInstanceOf(LaunchFault)
    expect(fault.message).toMatch(expected)
    expect(fault.message).toContain(file)
    expect(fault.remedy).not.toBe('')
  })

  test('no message holds a part of the secret', async () => {
    const damaged = token.slice(0, -7)
    const fault = await faultOf(loadTunnelSecret({ kind: 'token', token: damaged }))
    expect(`${fault.message} ${fault.remedy}`).toMatch(/^the token is not/)
    expect(`${fault.message} ${fault.remedy}`).not.toContain(damaged.slice(0, 8))
  })
})

test.each([
  [0o600, false],
  [0o640, false],
  [0o644, true],
  [0o602, true],
])('isExposed of a file with mode %o: %s', async (mode, expected) => {
  await using dir = await createScratchDir()
  await writeFile(dir.file('token'), token)
  await chmod(dir.file('token'), mode)
  expect(await isExposed({ kind: 'token-file', file: dir.file('token') })).toBe(expected)
  expect(await isExposed({ kind: 'credentials-file', file: dir.file('token') })).toBe(expected)
  expect(await isExposed({ kind: 'token', token })).toBe(false)
})
