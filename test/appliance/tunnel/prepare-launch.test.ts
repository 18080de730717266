/** Real files in a scratch runtime directory. */
import { once } from 'node:events'
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { dirname } from 'node:path'
import { describe, expect, test } from '@jest/globals'

import { LaunchFault } from '../../../appliance/tunnel/launch/launch.ts'
import { createLaunchPreparer, type LaunchPreparerOptions } from '../../../appliance/tunnel/launch/prepare-launch.ts'
import type { TunnelSettings } from '../../../appliance/tunnel/settings.ts'
import { createScratchDir, type ScratchDir } from '../scratch-dir.ts'
import { settings as plain } from './scripted-launch.ts'
import { credentialsText, identity, token } from './tunnel-identity.ts'

const binary = { path: '/usr/bin/cloudflared', version: '2026.8.2' }
const modeOf = async (file: string) => ((await stat(file)).mode & 0o777).toString(8)

function launcherIn(
  dir: ScratchDir,
  settings: Partial<TunnelSettings> = {},
  options: Partial<LaunchPreparerOptions> = {},
) {
  return createLaunchPreparer({
    settings: { ...plain, secret: { kind: 'token', token }, ...settings },
    origin: 'http://127.0.0.1:8080',
    runtimeDir: dir.file('run/burrow'),
    env: { PATH: '/bin', CI_PASSWORD: 'secret' },
    ...options,
  })
}

const faultOf = (promise: Promise<unknown>) =>
  promise.then(
    () => {
      throw new Error('It did not fail')
    },
    (error: unknown) => error as LaunchFault,
  )

describe('prepareLaunch', () => {
  test('token: by a file for the owner alone, and neither in the arguments nor in the environment', async () => {
    await using dir = await createScratchDir()
    await using launcher = launcherIn(dir, { extraArgs: ['--edge', '127.0.0.1:1'] })
    const launch = await launcher.prepareLaunch(binary)
    expect(launch).toMatchObject({
      command: binary.path,
      tunnelId: identity.tunnelId,
      secrets: [token, identity.secret],
    })
    expect(launch.args).toEqual(['tunnel', '--config', launch.configFile, '--edge', '127.0.0.1:1', 'run'])
    const tokenFile = launch.env.TUNNEL_TOKEN_FILE!
    expect(await readFile(tokenFile, 'utf8')).toBe(token)
    expect([
      await modeOf(tokenFile),
      await modeOf(launch.configFile),
      await modeOf(dirname(tokenFile)),
      await modeOf(dir.file('run/burrow')),
    ]).toEqual(['600', '600', '700', '700'])
    expect(JSON.stringify([launch.args, launch.env])).not.toContain(token)
    expect(JSON.stringify(launch.env)).not.toContain('secret')
  })

  test('the metrics port is ours to choose, another at each start, and told to it', async () => {
    await using dir = await createScratchDir()
    await using launcher = launcherIn(dir)
    const launches = [await launcher.prepareLaunch(binary), await launcher.prepareLaunch(binary)]
    for (const { metrics, env } of launches) {
      expect(metrics).toEqual({ host: '127.0.0.1', port: expect.any(Number) })
      expect(env.TUNNEL_METRICS).toBe(`127.0.0.1:${metrics!.port}`)
      // Nothing listens there.
      const server = createServer().listen(metrics!.port, '127.0.0.1')
      await once(server, 'listening')
      server.close()
    }
  })

  test.each([
    [['--metrics', 'localhost:20300'], { host: '127.0.0.1', port: 20_300 }],
    [['--metrics=[::1]:20300', '--edge', 'x:1'], { host: '::1', port: 20_300 }],
    [['--metrics', '127.0.0.1:0'], undefined],
    [['--metrics'], undefined],
  ] as const)('extraArgs %j choose the metrics port instead', async (extraArgs, metrics) => {
    await using dir = await createScratchDir()
    await using launcher = launcherIn(dir, { extraArgs })
    expect((await launcher.prepareLaunch(binary)).metrics).toEqual(metrics)
  })

  test.each([
    ['2025.3.1', true],
    ['2025.4.0', false],
    ['2025.10.0', false],
    ['DEV', false],
    [undefined, false],
  ])('token with cloudflared %s: by the environment: %s', async (version, isByEnv) => {
    await using dir = await createScratchDir()
    await using launcher = launcherIn(dir)
    const { env, args, configFile } = await launcher.prepareLaunch({ ...binary, version })
    expect([env.TUNNEL_TOKEN, env.TUNNEL_TOKEN_FILE === undefined]).toEqual([isByEnv ? token : undefined, isByEnv])
    expect(args.join(' ')).not.toContain(token)
    expect(await readdir(dirname(configFile))).toHaveLength(isByEnv ? 1 : 2)
  })

  test('credentials: our config names the file and the tunnel, and no secret is copied', async () => {
    await using dir = await createScratchDir()
    const file = dir.file('tunnel.json')
    await writeFile(file, credentialsText)
    await using launcher = launcherIn(
      dir,
      { mode: 'credentials', secret: { kind: 'credentials-file', file }, hostname: 'cache.example.org' },
      { origin: 'unix:/run/burrow.sock' },
    )
    const launch = await launcher.prepareLaunch(binary)
    expect(launch.args).toEqual(['tunnel', '--config', launch.configFile, 'run', identity.tunnelId])
    const config = await readFile(launch.configFile, 'utf8')
    expect(JSON.parse(config)).toMatchObject({
      'credentials-file': file,
      ingress: [{ hostname: 'cache.example.org', service: 'unix:/run/burrow.sock' }, {}],
    })
    expect(config).not.toContain(identity.secret)
    expect(launch.secrets).toEqual([identity.secret])
    expect(Object.keys(launch.env).filter((name) => /TOKEN|CRED|URL|SOCKET/.test(name))).toEqual([])
  })

  test('quick: no secret, no "run"', async () => {
    await using dir = await createScratchDir()
    await using launcher = launcherIn(dir, { mode: 'quick', secret: { kind: 'none' } })
    const launch = await launcher.prepareLaunch(binary)
    expect(launch).toMatchObject({ args: ['tunnel', '--config', launch.configFile], tunnelId: undefined, secrets: [] })
    expect(await readdir(dirname(launch.configFile))).toEqual(['config.yml'])
    await launch.forgetSecret()
  })

  test('forgetSecret removes the token, again and again, and not that of the next start', async () => {
    await using dir = await createScratchDir()
    await using launcher = launcherIn(dir)
    const first = await launcher.prepareLaunch(binary)
    await first.forgetSecret()
    expect(await readdir(dirname(first.configFile))).toEqual(['config.yml'])
    const second = await launcher.prepareLaunch(binary)
    await first.forgetSecret()
    expect(await readFile(second.env.TUNNEL_TOKEN_FILE!, 'utf8')).toBe(token)
    expect(second.configFile).toBe(first.configFile)
  })

  test('two launchers in one runtime directory have nothing in common', async () => {
    await using dir = await createScratchDir()
    await using one = launcherIn(dir)
    const other = launcherIn(dir)
    const mine = await one.prepareLaunch(binary)
    expect((await other.prepareLaunch(binary)).configFile).not.toBe(mine.configFile)
    await other[Symbol.asyncDispose]()
    expect(await readFile(mine.configFile, 'utf8')).toContain('originRequest')
  })

  test('nothing is left when it is disposed of, started or not', async () => {
    await using dir = await createScratchDir()
    const launcher = launcherIn(dir)
    await launcher.prepareLaunch(binary)
    await launcher[Symbol.asyncDispose]()
    await launcher[Symbol.asyncDispose]()
    expect(await readdir(dir.file('run/burrow'))).toEqual([])
    await launcherIn(dir)[Symbol.asyncDispose]()
  })

  test('a secret that cannot be used is told, and no file is made', async () => {
    await using dir = await createScratchDir()
    await using launcher = launcherIn(dir, { secret: { kind: 'token', token: 'nonsense' } })
    const fault = await faultOf(launcher.prepareLaunch(binary))
    expect([fault instanceof LaunchFault, fault.message]).toEqual([true, expect.stringMatching(/^the token is not/)])
    expect(await readdir(dir.path)).toEqual([])
  })

  test('a runtime directory that cannot be written is told with a remedy, and taken once it can', async () => {
    await using dir = await createScratchDir()
    await using launcher = launcherIn(dir)
    await writeFile(dir.file('run'), '')
    const fault = await faultOf(launcher.prepareLaunch(binary))
    expect(fault).toBeInstanceOf(LaunchFault)
    expect(fault.message).toBe(
      `the connector's files cannot be written below "${dir.file('run/burrow')}": a part of its path is not a directory`,
    )
    expect(fault.remedy).toBe('make room, or correct its rights')
    await rm(dir.file('run'))
    expect(await readFile((await launcher.prepareLaunch(binary)).configFile, 'utf8')).toContain('originRequest')
  })

  test('a directory that somebody tidied away is made anew, and a start that failed half-way leaves nothing', async () => {
    await using dir = await createScratchDir()
    await using launcher = launcherIn(dir)
    const { configFile } = await launcher.prepareLaunch(binary)
    await rm(dirname(configFile), { recursive: true })
    expect((await faultOf(launcher.prepareLaunch(binary))).message).toMatch(/it does not exist/)
    const again = await launcher.prepareLaunch(binary)
    // The config cannot take the place of a directory: what was begun is taken away.
    await rm(again.configFile)
    await mkdir(again.configFile)
    await faultOf(launcher.prepareLaunch(binary))
    expect(await readdir(dir.file('run/burrow'))).toEqual([])
  })
})
