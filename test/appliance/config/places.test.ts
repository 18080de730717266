/** What it takes to ask a running Burrow, at a shell that has none of the service's variables. */
import { describe, expect, test } from '@jest/globals'

import { doctorCommand } from '../../../appliance/commands/doctor.ts'
import { statusCommand } from '../../../appliance/commands/status.ts'
import { writeConfig } from '../burrow.ts'
import { runCommand } from '../run-command.ts'
import { createScratchDir, type ScratchDir } from '../scratch-dir.ts'

const config = (dir: ScratchDir, more: object = {}) => ({
  operator: `unix:${dir.file('op.sock')}`,
  state: { dir: dir.file('state') },
  signing: { keyFiles: ['$CREDENTIALS_DIRECTORY/signing-key'] },
  users: [{ name: 'ben', password: '$BEN_PASSWORD' }],
  tunnel: { mode: 'token', tokenFile: '$CREDENTIALS_DIRECTORY/tunnel-token', hostname: 'cache.example.org' },
  ...more,
})

describe('the variables of secrets are not set', () => {
  test.each<[string, object]>([
    ['a file', {}],
    ['a text', { tunnel: { mode: 'token', token: '$TUNNEL_TOKEN', hostname: 'cache.example.org' } }],
    [
      'credentials',
      { tunnel: { mode: 'credentials', credentialsFile: '$CREDENTIALS_DIRECTORY/t', hostname: 'cache.example.org' } },
    ],
  ])('status asks the running Burrow all the same: the token as %s', async (_what, more) => {
    await using dir = await createScratchDir()
    await writeConfig(dir, config(dir, more))
    const { code, stderr } = await runCommand(statusCommand, ['status'], { dir })
    expect(code).toBe(1)
    expect(stderr).toContain('Burrow is not running')
    expect(stderr).toContain('https://cache.example.org')
  })

  test('status still needs the variables of the operator address', async () => {
    await using dir = await createScratchDir()
    await writeConfig(dir, config(dir, { operator: 'unix:$NOWHERE/op.sock' }))
    expect(await runCommand(statusCommand, ['status'], { dir })).toMatchObject({
      code: 78,
      stderr: expect.stringContaining('$NOWHERE, which is not set'),
    })
  })

  test('doctor says that systemd sets them for the service alone, and how to go on', async () => {
    await using dir = await createScratchDir()
    await writeConfig(dir, config(dir))
    const { stdout } = await runCommand(doctorCommand, ['doctor'], { dir })
    expect(stdout).toMatch(/^warn {2}config .*only set for the service/m)
    expect(stdout).toContain('CREDENTIALS_DIRECTORY=/run/credentials/burrow.service')
  })
})
