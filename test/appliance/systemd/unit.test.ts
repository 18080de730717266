import { spawnSync } from 'node:child_process'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from '@jest/globals'
import { exitCodes } from '../../../appliance/complaint.ts'
import { stopMs } from '../../../appliance/server/stop-budgets.ts'
import { createScratchDir } from '../scratch-dir.ts'
import { testWith } from './has-systemd.ts'

const fileOf = (name: string) => fileURLToPath(new URL(`../../../appliance/systemd/${name}`, import.meta.url))
const service = await readFile(fileOf('burrow.service'), 'utf8')
const socket = await readFile(fileOf('burrow.socket'), 'utf8')
const settingOf = (unit: string, name: string) => unit.match(new RegExp(`(?<=^${name}=).*`, 'gm')) ?? []
const testWithAnalyze = testWith('systemd-analyze')

describe('burrow.service', () => {
  test('a stop takes less time than TimeoutStopSec grants', () => {
    const granted = Number(settingOf(service, 'TimeoutStopSec')[0]) * 1000
    expect(stopMs).toBeLessThanOrEqual(80_000)
    expect(granted).toBeGreaterThanOrEqual(stopMs + 10_000)
  })

  test('it is not started again where somebody must act first', () => {
    expect(settingOf(service, 'RestartPreventExitStatus')).toEqual([`${exitCodes.usage} ${exitCodes.config}`])
    expect(settingOf(service, 'SuccessExitStatus')).toEqual([`${exitCodes.interrupted} ${exitCodes.terminated}`])
  })

  test('it asks for what Node needs: writable executable memory, and no root', () => {
    expect(settingOf(service, 'MemoryDenyWriteExecute')).toEqual([])
    expect([
      settingOf(service, 'DynamicUser'),
      settingOf(service, 'CapabilityBoundingSet'),
      settingOf(service, 'KillMode'),
    ]).toEqual([['yes'], [''], ['mixed']])
  })

  testWithAnalyze('its exposure is at most 1.5', () => {
    const { stdout } = spawnSync(
      'systemd-analyze',
      ['security', '--offline=true', '--threshold=15', '--no-pager', fileOf('burrow.service')],
      {
        encoding: 'utf8',
      },
    )
    const exposure = Number(/Overall exposure level for burrow\.service: ([\d.]+)/.exec(stdout)?.[1])
    expect(exposure).toBeGreaterThan(0)
    expect(exposure).toBeLessThanOrEqual(1.5)
  })

  testWithAnalyze('systemd-analyze verify finds nothing wrong with it, nor with the socket', async () => {
    await using dir = await createScratchDir()
    // The program is installed by somebody else.
    await writeFile(dir.file('burrow.service'), service.replaceAll('/usr/bin/burrow ', `${process.execPath} `))
    await writeFile(dir.file('burrow.socket'), socket)
    const { status, stderr, stdout } = verify(dir.path)
    expect([status, stderr + stdout]).toEqual([0, ''])
    await mkdir(dir.file('broken'))
    await writeFile(
      dir.file('broken/burrow.service'),
      `${service}\nNoSuchSetting=1\n`.replaceAll('/usr/bin/burrow ', `${process.execPath} `),
    )
    await writeFile(dir.file('broken/burrow.socket'), socket)
    expect(verify(dir.file('broken')).stderr).toContain('NoSuchSetting')
  })

  function verify(dir: string) {
    const env = { PATH: process.env.PATH, SYSTEMD_LOG_LEVEL: 'warning' }
    return spawnSync(
      'systemd-analyze',
      ['verify', '--man=no', '--recursive-errors=no', `${dir}/burrow.service`, `${dir}/burrow.socket`],
      {
        encoding: 'utf8',
        env,
      },
    )
  }
})

describe('burrow.socket', () => {
  test('it listens on loopback', () => {
    expect(settingOf(socket, 'ListenStream')).toEqual(['127.0.0.1:8080'])
    expect(settingOf(socket, 'Accept')).toEqual([])
  })
})
