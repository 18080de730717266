import { describe, expect, test } from '@jest/globals'

import {
  chooseRelease,
  knownVersions,
  pinnedVersion,
  type ReleaseWish,
} from '../../../appliance/tunnel/find/release.ts'
import { isOlder, leastVersion } from '../../../appliance/tunnel/find/version.ts'

const linux: ReleaseWish = { version: undefined, sha256: undefined, platform: 'linux', arch: 'x64' }
const sum = 'A'.repeat(64)

describe('chooseRelease', () => {
  test.each([
    ['x64', 'amd64'],
    ['arm64', 'arm64'],
  ])('knows the pinned version for Linux on %s', (arch, name) => {
    const release = chooseRelease({ ...linux, arch })
    expect(release).toEqual({
      version: pinnedVersion,
      asset: `cloudflared-linux-${name}`,
      url: `https://github.com/cloudflare/cloudflared/releases/download/${pinnedVersion}/cloudflared-linux-${name}`,
      sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
      bytes: expect.any(Number),
    })
    expect(isOlder(pinnedVersion, leastVersion)).toBe(false)
  })

  test('knows the sums of both machines for each version that it knows at all, and takes the newest of them', () => {
    expect(knownVersions.length).toBeGreaterThan(1)
    for (const [index, version] of knownVersions.entries()) {
      const sums = ['x64', 'arm64'].map((arch) => chooseRelease({ ...linux, version, arch }))
      for (const found of sums)
        expect(found).toMatchObject({ version, sha256: expect.stringMatching(/^[0-9a-f]{64}$/) })
      if (index > 0) expect(isOlder(version, knownVersions[index - 1]!)).toBe(true)
    }
    expect(chooseRelease(linux)).toMatchObject({ version: knownVersions[0] })
  })

  test('takes the SHA-256 that is given before the one it knows', () => {
    expect(chooseRelease({ ...linux, sha256: sum })).toMatchObject({
      version: pinnedVersion,
      sha256: sum.toLowerCase(),
    })
    expect(chooseRelease({ ...linux, version: '2026.8.2', sha256: sum })).toMatchObject({
      version: '2026.8.2',
      sha256: sum.toLowerCase(),
      bytes: undefined,
    })
  })

  test.each<[string, Partial<ReleaseWish>, RegExp]>([
    [
      'another version without its sum',
      { version: '2026.8.2' },
      /--sha256: it stands at \S+\/releases\/tag\/2026\.8\.2 under "SHA256 Checksums", beside "cloudflared-linux-amd64"/,
    ],
    ['another machine without its sum', { arch: 'arm' }, /beside "cloudflared-linux-arm"/],
    [
      'macOS without its sum',
      { platform: 'darwin', arch: 'arm64' },
      /fetch \S+\/cloudflared-darwin-arm64\.tgz,.*unpack it, and take "shasum -a 256 cloudflared"/,
    ],
    ['a machine that Cloudflare does not build for', { arch: 'riscv64' }, /none for linux on riscv64; build one/],
    ['a path', { version: '../../../somebody/else', sha256: sum }, /is no version of cloudflared; write it like/],
    ['"latest"', { version: 'latest', sha256: sum }, /"latest" is no version/],
    ['a sum that is cut', { sha256: sum.slice(1) }, /is no SHA-256; it has 64 hexadecimal digits/],
    ['a sum of another kind', { sha256: `sha256-${sum}` }, /is no SHA-256/],
  ])('refuses %s, and says what to do', (_what, wish, expected) => {
    const { refusal, remedy } = chooseRelease({ ...linux, ...wish }) as { refusal: string; remedy: string }
    expect(`${refusal}; ${remedy}`).toMatch(expected)
  })
})
