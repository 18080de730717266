/** The real download, against a server on loopback. */
import { execFileSync } from 'node:child_process'
import { mkdir, readdir, readFile, stat, utimes, writeFile } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { dirname, join } from 'node:path'
import { describe, expect, test } from '@jest/globals'

import { Complaint } from '../../../appliance/complaint.ts'
import { installedBinaryPath } from '../../../appliance/tunnel/find/binary.ts'
import { type Installation, installBinary } from '../../../appliance/tunnel/find/install.ts'
import { createScratchDir, type ScratchDir } from '../scratch-dir.ts'
import { openReleaseServer, program, releaseOf, sha256Of } from './release-server.ts'
import { TestClock } from './test-clock.ts'

const serveProgram = (_request: IncomingMessage, response: ServerResponse) => void response.end(program)

function createInstallation(
  dir: ScratchDir,
  fetchFile: Installation['fetchFile'],
  overrides: Partial<Installation> = {},
): Installation {
  return {
    release: releaseOf(program),
    path: installedBinaryPath(dir.path),
    env: { PATH: process.env.PATH },
    isForced: false,
    isOurPlace: true,
    fetchFile,
    clock: new TestClock(),
    signal: new AbortController().signal,
    onBegin: () => {},
    onProgress: () => {},
    ...overrides,
  }
}

const modeOf = async (file: string) => ((await stat(file)).mode & 0o777).toString(8)
const left = (dir: ScratchDir) => readdir(dir.file('bin'))
const faultOf = (promise: Promise<unknown>) =>
  promise.then(
    () => {
      throw new Error('It did not fail')
    },
    (error: unknown) => error as Complaint,
  )

const never: Installation['fetchFile'] = () => {
  throw new Error('Nothing was to be fetched')
}

describe('installBinary', () => {
  test('follows the redirect, and puts the program there, alone and executable', async () => {
    await using dir = await createScratchDir()
    await using server = await openReleaseServer((request, response) => {
      if (request.url === '/elsewhere') serveProgram(request, response)
      else response.writeHead(302, { location: 'https://objects.example.com/elsewhere' }).end()
    })
    const told: number[] = []
    let begun = 0
    const path = installedBinaryPath(dir.path)
    expect(
      await installBinary(
        createInstallation(dir, server.fetchFile, { onBegin: () => begun++, onProgress: (bytes) => told.push(bytes) }),
      ),
    ).toEqual({
      path,
      version: '2026.10.0',
      isNew: true,
    })
    expect(server.requests.map(({ url, headers }) => `${headers.host}${url}`)).toEqual([
      expect.stringMatching(
        /^github\.com\/cloudflare\/cloudflared\/releases\/download\/2026\.10\.0\/cloudflared-linux-(amd64|arm64)$/,
      ),
      'objects.example.com/elsewhere',
    ])
    expect([begun, told.at(-1)]).toEqual([1, program.length])
    expect(await readFile(path, 'utf8')).toBe(program)
    expect([await modeOf(path), await modeOf(dirname(path)), await left(dir)]).toEqual(['755', '700', ['cloudflared']])
  })

  test('nobody may execute it before its SHA-256 is found right', async () => {
    await using dir = await createScratchDir()
    await using server = await openReleaseServer(serveProgram)
    const seen: Promise<string[]>[] = []
    const look = async () => {
      const [fetched] = (await left(dir)).filter((name) => name.startsWith('.burrow-fetch-'))
      const place = dir.file(join('bin', fetched!))
      return [
        await modeOf(place),
        ...(await Promise.all((await readdir(place)).map((name) => modeOf(join(place, name))))),
      ]
    }
    const release = releaseOf(program, { sha256: sha256Of('another') })
    await faultOf(
      installBinary(
        createInstallation(
          dir,
          async (wish) => {
            const sha256 = await server.fetchFile(wish)
            seen.push(look())
            await seen.at(-1)
            return sha256
          },
          { release },
        ),
      ),
    )
    expect(await Promise.all(seen)).toEqual([['700', '600']])
  })

  test.each<[string, string, Parameters<typeof releaseOf>[1], RegExp]>([
    [
      'another SHA-256',
      program,
      { sha256: '0'.repeat(64) },
      new RegExp(`has the SHA-256 ${sha256Of(program)} instead of 0{64}; do not use it`),
    ],
    [
      'no program',
      'MZ\0\0, a program of elsewhere',
      {},
      /"cloudflared-linux-amd64" is not an executable for this machine/,
    ],
    [
      'a program that fails',
      '#!/bin/sh\nexit 3\n',
      {},
      /does not run: "version --short" was not answered; check .*noexec/,
    ],
    [
      'another version',
      '#!/bin/sh\necho 2025.8.1\n',
      {},
      /says that it is version 2025\.8\.1; give the SHA-256 that belongs to --version/,
    ],
    ['nothing', '', {}, /not an executable for this machine/],
  ])('refuses %s, keeps what was there, and leaves nothing', async (_what, content, overrides, expected) => {
    await using dir = await createScratchDir()
    await using server = await openReleaseServer((_request, response) => void response.end(content))
    await mkdir(dir.file('bin'))
    await writeFile(dir.file('bin/cloudflared'), 'old', { mode: 0o755 })
    const fault = await faultOf(
      installBinary(createInstallation(dir, server.fetchFile, { release: releaseOf(content, overrides) })),
    )
    expect([fault.name, fault.code]).toEqual(['Complaint', 'refused'])
    expect(fault.message).toMatch(/^Cannot install cloudflared 2026\.10\.0: /)
    expect(fault.message).toMatch(expected)
    expect([await left(dir), await readFile(dir.file('bin/cloudflared'), 'utf8')]).toEqual([['cloudflared'], 'old'])
  })

  test.each<[string, (response: ServerResponse) => void, RegExp]>([
    ['404', (response) => void response.writeHead(404).end('no'), /the answer is HTTP 404/],
    [
      'a body that is cut',
      (response) => {
        response.writeHead(200, { 'content-length': 1000 })
        response.write('part', () => response.destroy())
      },
      /the connection was cut/,
    ],
    ['a connection that is cut', (response) => void response.destroy(), /the connection was cut/],
  ])('tells of %s at once, with the way out', async (_what, answer, expected) => {
    await using dir = await createScratchDir()
    await using server = await openReleaseServer((_request, response) => answer(response))
    const fault = await faultOf(installBinary(createInstallation(dir, server.fetchFile)))
    expect(fault.code).toBe('refused')
    expect(fault.message).toMatch(expected)
    expect(fault.message).toMatch(/from https:\/\/github\.com\/.*; try again, or fetch it by other means and name it/)
    expect(await left(dir)).toEqual([])
  })

  /** Says that the first part has gone out, and no more. */
  const stand = () => {
    let begun = () => {}
    const standing = new Promise<void>((resolve) => {
      begun = resolve
    })
    const answer = (_request: IncomingMessage, response: ServerResponse) => {
      response.writeHead(200, { 'content-length': 1000 })
      response.write('part', begun)
    }
    return { standing, answer }
  }

  test.each<[string, string, RegExp, number]>([
    ['run in a circle', 'https://example.com/again', /redirected more than 5 times/, 6],
    ['leave https', 'http://example.com/cloudflared', /redirected to an address that is not https/, 1],
    ['lead nowhere', 'https://', /redirected to an address that is not https/, 1],
  ])('follows no redirects that %s', async (_what, location, expected, requests) => {
    await using dir = await createScratchDir()
    await using server = await openReleaseServer(
      (_request, response) => void response.writeHead(302, { location }).end(),
    )
    const clock = new TestClock()
    expect((await faultOf(installBinary(createInstallation(dir, server.fetchFile, { clock })))).message).toMatch(
      expected,
    )
    expect([await left(dir), clock.pending, server.requests.length]).toEqual([[], 0, requests])
  })

  test('ends a download that brings nothing any more, counted from what came last', async () => {
    await using dir = await createScratchDir()
    let send = (_text: string) => {}
    await using server = await openReleaseServer((_request, response) => {
      response.writeHead(200, { 'content-length': 1000 })
      send = (text) => void response.write(text)
      send('part')
    })
    const clock = new TestClock()
    const fault = faultOf(installBinary(createInstallation(dir, server.fetchFile, { clock })))
    while (clock.count(30_000) < 2) await clock.set(30_000)
    clock.advance(20_000)
    const more = clock.set(30_000)
    send('more')
    await more
    clock.advance(20_000)
    expect(clock.pending).toBe(2)
    clock.advance(10_000)
    expect((await fault).message).toMatch(/nothing came for 30 s/)
    expect([await left(dir), clock.pending]).toEqual([[], 0])
  })

  test('ends a download that grows larger than any program', async () => {
    await using dir = await createScratchDir()
    await using server = await openReleaseServer((_request, response) => void response.end('12345678901'))
    const file = dir.file('big')
    const limits = { wholeMs: 60_000, stallMs: 30_000, maxBytes: 10 }
    const wish = {
      url: 'https://example.com/x',
      to: file,
      env: {},
      limits,
      clock: new TestClock(),
      signal: new AbortController().signal,
      onProgress: () => {},
    }
    await expect(server.fetchFile(wish)).rejects.toThrow(/is larger than .* MiB/)
    expect(await server.fetchFile({ ...wish, to: dir.file('fits'), limits: { ...limits, maxBytes: 11 } })).toBe(
      sha256Of('12345678901'),
    )
  })

  test('unpacks an archive, as there is for macOS, and compares the program inside', async () => {
    await using dir = await createScratchDir()
    await writeFile(dir.file('cloudflared'), program, { mode: 0o755 })
    execFileSync('tar', ['-czf', dir.file('c.tgz'), '-C', dir.path, 'cloudflared'])
    const archive = await readFile(dir.file('c.tgz'))
    let body: Buffer | string = archive
    await using server = await openReleaseServer((_request, response) => void response.end(body))
    const release = releaseOf(program, { asset: 'cloudflared-darwin-arm64.tgz' })
    const path = installedBinaryPath(dir.path)
    expect(await installBinary(createInstallation(dir, server.fetchFile, { release }))).toMatchObject({
      path,
      isNew: true,
    })
    expect([await readFile(path, 'utf8'), await left(dir)]).toEqual([program, ['cloudflared']])
    body = 'no archive'
    const fault = await faultOf(installBinary(createInstallation(dir, server.fetchFile, { release, isForced: true })))
    expect(fault.message).toMatch(/"cloudflared-darwin-arm64\.tgz" cannot be unpacked/)
    expect([await readFile(path, 'utf8'), await left(dir)]).toEqual([program, ['cloudflared']])
  })

  test('asks nothing when it is interrupted already', async () => {
    await using dir = await createScratchDir()
    await using server = await openReleaseServer(serveProgram)
    expect(
      (await faultOf(installBinary(createInstallation(dir, server.fetchFile, { signal: AbortSignal.abort() })))).code,
    ).toBe('interrupted')
    expect(server.requests).toEqual([])
  })

  test('ends a download that takes too long', async () => {
    await using dir = await createScratchDir()
    let send = () => {}
    await using server = await openReleaseServer((_request, response) => {
      response.writeHead(200, { 'content-length': 1000 })
      send = () => void response.write('part')
      send()
    })
    const clock = new TestClock()
    const fault = faultOf(installBinary(createInstallation(dir, server.fetchFile, { clock })))
    while (clock.count(30_000) < 2) await clock.set(30_000)
    for (let seconds = 25; seconds < 600; seconds += 25) {
      clock.advance(25_000)
      const more = clock.set(30_000)
      send()
      await more
    }
    clock.advance(25_000)
    expect((await fault).message).toMatch(/it was not done within 600 s/)
    expect([await left(dir), clock.pending]).toEqual([[], 0])
  })

  test('an interruption ends the download and takes it away', async () => {
    await using dir = await createScratchDir()
    const { standing, answer } = stand()
    await using server = await openReleaseServer(answer)
    const interruption = new AbortController()
    const fault = faultOf(installBinary(createInstallation(dir, server.fetchFile, { signal: interruption.signal })))
    await standing
    // However it ends, by a reset or in order.
    const closed = new Promise((resolve) => server.requests[0]!.socket.on('close', resolve))
    interruption.abort()
    expect((await fault).code).toBe('interrupted')
    await closed
    expect(await left(dir)).toEqual([])
  })

  test('fetches nothing when it is there already, and does when that is wanted, or it is another', async () => {
    await using dir = await createScratchDir()
    await using server = await openReleaseServer(serveProgram)
    await installBinary(createInstallation(dir, server.fetchFile))
    expect(await installBinary(createInstallation(dir, never))).toMatchObject({ isNew: false })
    expect(await installBinary(createInstallation(dir, server.fetchFile, { isForced: true }))).toMatchObject({
      isNew: true,
    })
    await writeFile(dir.file('bin/cloudflared'), 'damaged')
    expect(await installBinary(createInstallation(dir, server.fetchFile))).toMatchObject({ isNew: true })
    expect(server.requests).toHaveLength(3)
  })

  test('in a place of others it replaces another program only when told to, and takes its own for installed', async () => {
    await using dir = await createScratchDir()
    await using server = await openReleaseServer(serveProgram)
    await mkdir(dir.file('bin'))
    await writeFile(dir.file('bin/cloudflared'), 'of a package')
    const fault = await faultOf(installBinary(createInstallation(dir, never, { isOurPlace: false })))
    expect([fault.code, fault.message]).toEqual([
      'refused',
      expect.stringMatching(/there is another ".*bin\/cloudflared"; .*--force$/),
    ])
    expect(await readFile(dir.file('bin/cloudflared'), 'utf8')).toBe('of a package')
    expect(
      await installBinary(createInstallation(dir, server.fetchFile, { isOurPlace: false, isForced: true })),
    ).toMatchObject({ isNew: true })
    expect(await installBinary(createInstallation(dir, never, { isOurPlace: false }))).toMatchObject({ isNew: false })
  })

  test('removes what a killed one left long ago, and nothing of one that may still run', async () => {
    await using dir = await createScratchDir()
    await using server = await openReleaseServer(serveProgram)
    for (const name of ['.burrow-fetch-old', '.burrow-fetch-new', 'mine'])
      await mkdir(dir.file(join('bin', name)), { recursive: true })
    const now = 10_000_000
    await utimes(dir.file('bin/.burrow-fetch-old'), 0, 0)
    await utimes(dir.file('bin/.burrow-fetch-new'), now / 1000, now / 1000)
    await utimes(dir.file('bin/mine'), 0, 0)
    await installBinary(
      createInstallation(dir, server.fetchFile, {
        clock: { now: () => now, after: new TestClock().after.bind(new TestClock()) },
      }),
    )
    expect((await left(dir)).sort()).toEqual(['.burrow-fetch-new', 'cloudflared', 'mine'])
  })

  test('a place that cannot be written is named', async () => {
    await using dir = await createScratchDir()
    await writeFile(dir.file('bin'), '')
    const fault = await faultOf(installBinary(createInstallation(dir, never)))
    expect(fault).toBeInstanceOf(Complaint)
    expect(fault.message).toContain(`check that "${dir.file('bin')}" is writable`)
  })
})
