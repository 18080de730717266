import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { describe, expect, test } from '@jest/globals'

import { statusCommand } from '../../appliance/commands/status.ts'
import type { StatusReport } from '../../appliance/operator/status.ts'
import { formatStatus } from '../../appliance/operator/status-text.ts'
import { openListener } from '../../appliance/server/listener.ts'
import type { UserSource } from '../../src/index.ts'
import { serve, writeConfig } from './burrow.ts'
import { runCommand } from './run-command.ts'
import { sampleDepot, sampleReport, sampleUpstream } from './sample-report.ts'
import { createScratchDir, type ScratchDir } from './scratch-dir.ts'

const users = ['ben:secret']
const run = (dir: ScratchDir, ...args: string[]) =>
  runCommand(statusCommand, ['status', ...args], { dir, env: { STATE_DIRECTORY: dir.file('state') } })

/** A Burrow that answers with this report on the socket the config names. */
async function openOperator(dir: ScratchDir, report: object) {
  await writeConfig(dir, { users, operator: `unix:${dir.file('op.sock')}` })
  const server = createServer((_request, response) => response.end(JSON.stringify(report)))
  return await openListener(server, { kind: 'unix', path: dir.file('op.sock') }, { drainMs: 0 })
}

describe('burrow status while Burrow runs', () => {
  test('asks the real program at the socket that is there by default', async () => {
    await using dir = await createScratchDir()
    await writeConfig(dir, { users, store: { realDir: dir.file('nix/store') }, tunnel: 'off' })
    await using served = await serve(dir, { STATE_DIRECTORY: dir.file('state') })
    const { code, stdout, stderr } = await run(dir)
    expect(stdout).toContain(`origin    ${served.url}, 0 requests under way`)
    expect(stdout).toContain('tunnel    off')
    expect(stdout).toContain('users     ben (pull; config)')
    // There is no Nix store in the scratch directory.
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringContaining('Burrow is running but cannot serve: '),
    })
    const told = await run(dir, '--json')
    expect(JSON.parse(told.stdout)).toMatchObject({ running: true, pid: served.child.pid, origin: { url: served.url } })
    expect(told.stdout).not.toContain('secret"')
  })

  test('says that the tunnel is being stopped, while it still serves', async () => {
    await using dir = await createScratchDir()
    await using _operator = await openOperator(dir, {
      ...sampleReport,
      tunnel: { ...sampleReport.tunnel, isStopping: true },
    })
    expect((await run(dir)).stdout).toMatch(/^tunnel +connected \(\d+ connections\), being stopped/m)
  })

  test('ends with 0 when it serves, whatever the tunnel does', async () => {
    await using dir = await createScratchDir()
    const report = { ...sampleReport, tunnel: { ...sampleReport.tunnel, state: 'failed', connections: 0 } }
    await using _operator = await openOperator(dir, report)
    expect(await run(dir)).toMatchObject({ code: 0, stderr: '' })
    expect(JSON.parse((await run(dir, '--json')).stdout)).toEqual({
      running: true,
      ...JSON.parse(JSON.stringify(report)),
    })
  })
})

describe('burrow status while Burrow is not running', () => {
  test('says so, whom it asked, and what is known', async () => {
    await using dir = await createScratchDir()
    await writeConfig(dir, { users, tunnel: { mode: 'token', token: 'x', hostname: 'cache.example.org' } })
    const { code, stdout, stderr } = await run(dir)
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toContain(
      `Burrow is not running: nothing listens there (asked "unix:${dir.file('state/operator.sock')}"); start it with "burrow serve"`,
    )
    expect(stderr).toContain('tunnel    token, https://cache.example.org\n')
    const told = await run(dir, '--json')
    expect(told.code).toBe(1)
    expect(JSON.parse(told.stdout)).toMatchObject({
      running: false,
      config: dir.file('burrow.json'),
      tunnel: { mode: 'token', hostname: 'cache.example.org' },
    })
  })

  test('tells what the last tunnel was called, and when it was last connected', async () => {
    await using dir = await createScratchDir()
    await using served = await (async () => {
      await writeConfig(dir, { users, tunnel: 'off', store: { realDir: dir.file('nix/store') } })
      return await serve(dir, { STATE_DIRECTORY: dir.file('state') })
    })()
    served.kill('SIGTERM')
    await served.exited
    const facts = { hostname: 'some-words.trycloudflare.com', lastConnected: '2020-01-01T00:00:00Z' }
    await writeFile(dir.file('state/state.json'), JSON.stringify({ version: 1, tunnel: facts }), { mode: 0o600 })
    await writeConfig(dir, { users, tunnel: 'quick' })
    expect((await run(dir)).stderr).toMatch(
      /^tunnel {4}quick, was last https:\/\/some-words\.trycloudflare\.com, last connected \d+ days ago$/m,
    )
  })

  test('does not take another program at that address for a stopped Burrow', async () => {
    await using dir = await createScratchDir()
    await using _other = await openOperator(dir, { hello: 'world' })
    const { code, stderr } = await run(dir)
    expect(code).toBe(1)
    expect(stderr).toContain(
      'Cannot find out whether Burrow is running: something answers there that is not the status of a Burrow',
    )
    expect(JSON.parse((await run(dir, '--json')).stdout)).toMatchObject({ running: null })
  })

  test('says that there is nobody to ask without an operator listener', async () => {
    await using dir = await createScratchDir()
    await writeConfig(dir, { users, operator: null })
    expect((await run(dir)).stderr).toContain(
      'Cannot find out whether Burrow is running: "operator" is null in the config; remove this setting',
    )
  })

  test('a wrong config is told as everywhere, with 78', async () => {
    await using dir = await createScratchDir()
    await writeConfig(dir, { users, larderr: false })
    expect((await run(dir)).code).toBe(78)
  })
})

describe('formatStatus', () => {
  test('one aligned line a subject', () => {
    expect(formatStatus(sampleReport)).toBe(`burrow    1.2.3 serves; started 2 days 5 h ago, pid 4711
tunnel    connected (4 connections) for 1 h (token, cloudflared 2026.8.2)
          2 restarts
public    https://cache.example.org
origin    http://127.0.0.1:8080, 3 requests under way
store     /nix/store, readable
larder    5.0 GiB of 20.0 GiB in 1,234 files, 98 % of 1,000 NARs found there
users     ana (pull push; config), ben (pull; added; EXPIRED 2 days ago)
keys      cache.example.org-1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
traffic   12,345 requests, 45.0 GiB sent, 3 NARs on the way, 5 failed logins
config    /etc/burrow/burrow.json; state in /var/lib/burrow
`)
  })

  test('the depot and upstreams have a line each, and more only for what is wrong', () => {
    expect(formatStatus({ ...sampleReport, stores: [sampleDepot, ...sampleReport.stores, sampleUpstream] })).toContain(`
store     /nix/store, readable
depot     12.0 GiB of 50.0 GiB in 1,234 paths, 100.0 GiB free on its disk; 3 pins
          pushed today: ci 1.0 GiB
upstream  https://cache.nixos.org/
larder `)
    const depot = {
      ...sampleDepot.depot!,
      refusedToday: 2,
      unfinishedUploads: 1,
      unfinishedBytes: 2048,
      damaged: 1,
      shortage: 'no space left',
      pushedToday: [],
    }
    const upstream = { ...sampleUpstream, isReadable: false, problem: 'connect ECONNREFUSED' }
    const traffic = { ...sampleReport.traffic, pushedPaths: 7, receivedBytes: 2 ** 30 }
    const text = formatStatus({ ...sampleReport, stores: [{ ...sampleDepot, depot }, upstream], traffic })
    expect(text).toContain(`
store     no Nix store on this machine: only pushed and upstream paths are served
depot     12.0 GiB of 50.0 GiB in 1,234 paths, 100.0 GiB free on its disk; 3 pins
          pushed today: nothing; 2 paths refused
          1 unfinished upload, 2.0 KiB
          1 NAR damaged: out of service until pushed again (see the log)
          the last push failed for lack of space: no space left
upstream  https://cache.nixos.org/ does not answer: its paths count as absent
          connect ECONNREFUSED
`)
    expect(text).toContain('1.0 GiB and 7 new paths received')
  })

  test('a tunnel in trouble is told with reason, remedy, last error and times', () => {
    const tunnel: StatusReport['tunnel'] = {
      ...sampleReport.tunnel,
      state: 'failed',
      connections: 0,
      reason: 'the edge refuses the token',
      remedy: 'make a new token',
      lastError: 'Unauthorized: Invalid tunnel secret',
      nextAttempt: '2030-01-03T05:16:07.000Z',
    }
    expect(formatStatus({ ...sampleReport, tunnel })).toContain(`
tunnel    failed for 1 h (token, cloudflared 2026.8.2)
          the edge refuses the token
          to do: make a new token
          last error: Unauthorized: Invalid tunnel secret
          2 restarts, last connected 1 h ago, next attempt in 10 min
`)
  })

  test('text from outside keeps to its line', () => {
    const hostile = 'x\u001b[2J\r\n\u202ey'
    const report: StatusReport = {
      ...sampleReport,
      version: hostile,
      config: hostile,
      publicUrl: hostile,
      publicKeys: [hostile],
      origin: { ...sampleReport.origin, url: hostile, impediment: hostile },
      tunnel: {
        ...sampleReport.tunnel,
        state: 'failed',
        reason: hostile,
        remedy: hostile,
        lastError: `${hostile}!`,
        mode: hostile as 'token',
      },
      storeDir: hostile,
      stores: [...sampleReport.stores, sampleDepot, sampleUpstream].map(({ depot, ...store }) => ({
        ...store,
        ...{ location: hostile, isReadable: false, problem: hostile },
        depot: depot && { ...depot, shortage: hostile, pushedToday: [{ user: hostile, bytes: 1 }] },
      })),
      larder: { ...sampleReport.larder!, unwritable: hostile },
      users: [{ name: hostile, access: [hostile], expires: hostile, isExpired: true, source: hostile as UserSource }],
    }
    const text = formatStatus(report)
    expect(text.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}]/u)
    expect(text.split('\n').length).toBeLessThan(30)
  })

  test('of a thousand users some are shown and the others counted', () => {
    const many = Array.from({ length: 1000 }, (_, index) => ({
      name: `u${index}`,
      access: ['pull'],
      expires: null,
      isExpired: false,
      source: 'added' as const,
    }))
    expect(formatStatus({ ...sampleReport, users: many })).toMatch(/^users .*u19 \(pull; added\), and 980 more$/m)
  })
})
