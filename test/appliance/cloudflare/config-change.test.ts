import { readFile, stat, writeFile } from 'node:fs/promises'
import { describe, expect, test } from '@jest/globals'

import { planTunnelOff, planTunnelSetting } from '../../../appliance/cloudflare/config-change.ts'
import { loadConfigFile } from '../../../appliance/cloudflare/session.ts'
import type { StepOptions } from '../../../appliance/cloudflare/setup-step.ts'
import { toSetupSteps } from '../../../appliance/cloudflare/setup-steps.ts'
import type { Survey } from '../../../appliance/cloudflare/survey.ts'
import type { Machine } from '../../../appliance/machine.ts'
import type { ScratchDir } from '../scratch-dir.ts'
import { createBurrowDir, hostname } from './tunnel-program.ts'

const load = (dir: ScratchDir) =>
  loadConfigFile({ env: {}, workingDir: dir.path, homeDir: dir.path } as unknown as Machine, undefined)

describe('planTunnelSetting', () => {
  test('planTunnelSetting writes a path with a dollar sign so that it is read as that path', async () => {
    await using dir = await createBurrowDir()
    const tokenFile = dir.file('a$b/$HOME/token')
    const change = await planTunnelSetting(load(dir), { hostname, tokenFile })
    await change.apply()
    expect(load(dir).tunnel).toMatchObject({ mode: 'token', hostname, secret: { kind: 'token-file', file: tokenFile } })
    expect(await planTunnelSetting(load(dir), { hostname, tokenFile })).toMatchObject({ isNeeded: false })
  })

  test('planTunnelSetting takes a token out of the config', async () => {
    await using dir = await createBurrowDir({
      tunnel: { mode: 'token', token: 'eyJhIjoic2VjcmV0In0=', logLevel: 'warn' },
    })
    const change = await planTunnelSetting(load(dir), { hostname, tokenFile: '/x' })
    expect(change.after).toEqual({ mode: 'token', tokenFile: '/x', hostname, logLevel: 'warn' })
    const found = {
      records: [],
      config: change,
      zone: { id: 'z', account: {} },
      hostname,
      tunnelName: 't',
    } as unknown as Survey
    const step = toSetupSteps(found, {} as StepOptions).at(-1)!
    expect(step.verb).toBe('change')
    expect(step.what).not.toContain('eyJ')
  })

  test('a config that cannot be written is left, and what to put there is told', async () => {
    await using dir = await createBurrowDir()
    const change = await planTunnelSetting(load(dir), { hostname, tokenFile: '/x' })
    const config = { ...change, impediment: 'the file system is read-only' }
    const found = {
      records: [],
      config,
      zone: { id: 'z', account: {} },
      hostname,
      tunnelName: 't',
    } as unknown as Survey
    const step = toSetupSteps(found, {} as StepOptions).at(-1)!
    expect(step).toMatchObject({
      verb: 'by-hand',
      what: expect.stringContaining('add "tunnel": {"mode":"token","tokenFile":"/x"'),
    })
    expect(step.run).toBeUndefined()
  })
})

describe('planTunnelOff', () => {
  test('planTunnelOff leaves a tunnel that is another by now', async () => {
    await using dir = await createBurrowDir({
      tunnel: { mode: 'token', tokenFile: '/x', hostname: 'other.example.org' },
    })
    expect(await planTunnelOff(load(dir), hostname)).toMatchObject({ isNeeded: false })
    const change = await planTunnelOff(load(dir), 'other.example.org')
    await change.apply()
    expect(JSON.parse(await readFile(dir.file('burrow.json'), 'utf8')).tunnel).toBe('off')
    expect((await stat(dir.file('burrow.json'))).mode & 0o777).toBe(0o600)
  })

  test('a byte order mark is borne', async () => {
    await using dir = await createBurrowDir()
    await writeFile(dir.file('burrow.json'), `\ufeff${await readFile(dir.file('burrow.json'), 'utf8')}`)
    await (await planTunnelSetting(load(dir), { hostname, tokenFile: '/x' })).apply()
    expect(load(dir).tunnel).toHaveProperty('mode', 'token')
  })
})
