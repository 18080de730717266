/**
 * Which cloudflared `burrow tunnel install` fetches, and the SHA-256 that it must have. Cloudflare publishes the sums
 * in the notes of each release, under "SHA256 Checksums":
 *   cloudflared-linux-amd64: 77e26d8d…
 * A release is listed here only when the sums of both machines are known from more than one place. Those of 2026.9.3
 * are from a copy of its notes (github.com/charlestephen/hassio-apps, cloudflared/CHANGELOG.md); those of both releases
 * stand alike in several other public programs that pin them.
 */
import { RELEASE_BASE } from 'cloudflared'

interface KnownRelease {
  readonly version: string
  readonly files: Readonly<Record<string, { readonly sha256: string; readonly bytes: number }>>
}

/** The newest first. */
const knownReleases: readonly [KnownRelease, ...KnownRelease[]] = [
  {
    version: '2026.10.0',
    files: {
      'cloudflared-linux-amd64': {
        sha256: 'd33ff2d14475178d2012c2c56beba87389ac5ded27649519f198a7d3134a99db',
        bytes: 40_129_756,
      },
      'cloudflared-linux-arm64': {
        sha256: 'e6422b9d4f72d3194bc5a38676f13667c06666523217b842a877d72a80b5ac08',
        bytes: 37_687_584,
      },
    },
  },
  {
    version: '2026.9.3',
    files: {
      'cloudflared-linux-amd64': {
        sha256: '77e26d8d900e0b8469f416239d14b5f296525fdf79fee6f511ef55609e3fbac2',
        bytes: 40_122_749,
      },
      'cloudflared-linux-arm64': {
        sha256: 'aaeb2d7d0da3614634c7e03ab13487a1522c2e79165ed2929cfe23d5e95b326d',
        bytes: 37_685_657,
      },
    },
  },
]

/** The default of `burrow tunnel install`. */
export const pinnedVersion = knownReleases[0].version

export const knownVersions = knownReleases.map(({ version }) => version)

export interface Release {
  readonly version: string
  /** Name of the file among the release's. */
  readonly asset: string
  readonly url: string
  /** Of the program: 64 hexadecimal digits in lower case. */
  readonly sha256: string
  /** Approximate size, for the progress display. */
  readonly bytes: number | undefined
}

/** Why there is nothing to fetch, and what to do. */
export interface ReleaseRefusal {
  readonly refusal: string
  readonly remedy: string
}

export interface ReleaseWish {
  readonly version: string | undefined
  readonly sha256: string | undefined
  /** As in `node:os`: `linux`, `x64`. */
  readonly platform: string
  readonly arch: string
}

/** As the npm package `cloudflared` names them, which does not export its table (lib/install.js). */
const assets: Readonly<Record<string, string>> = {
  'linux x64': 'cloudflared-linux-amd64',
  'linux arm64': 'cloudflared-linux-arm64',
  'linux arm': 'cloudflared-linux-arm',
  'linux ia32': 'cloudflared-linux-386',
  'darwin arm64': 'cloudflared-darwin-arm64.tgz',
  'darwin x64': 'cloudflared-darwin-amd64.tgz',
}

export function chooseRelease({
  version = pinnedVersion,
  sha256,
  platform,
  arch,
}: ReleaseWish): Release | ReleaseRefusal {
  // It becomes a part of the address.
  if (!/^\d{4}\.\d{1,2}\.\d{1,3}$/.test(version))
    return {
      refusal: `"${version}" is no version of cloudflared`,
      remedy: `write it like ${pinnedVersion}; they are listed at ${releases}`,
    }
  if (sha256 !== undefined && !/^[0-9a-f]{64}$/i.test(sha256))
    return { refusal: `"${sha256}" is no SHA-256`, remedy: `it has 64 hexadecimal digits; ${whereSumsAre(version)}` }
  const asset = assets[`${platform} ${arch}`]
  if (asset === undefined)
    return {
      refusal: `Cloudflare publishes none for ${platform} on ${arch}`,
      remedy: 'build one, and name it in the config: "tunnel": { "binary": … }',
    }
  const url = `${releases}/download/${version}/${asset}`
  const pin = knownReleases.find((release) => release.version === version)?.files[asset]
  const expected = sha256?.toLowerCase() ?? pin?.sha256
  if (expected !== undefined) return { version, asset, url, sha256: expected, bytes: pin?.bytes }
  const why = `Burrow knows the SHA-256 of ${knownVersions.join(' and ')} for Linux on amd64 and arm64 alone, not that of "${asset}" ${version}`
  return {
    refusal: why,
    remedy: `give it with --sha256: ${asset.endsWith('.tgz') ? ofUnpacked(url) : `${whereSumsAre(version)}, beside "${asset}"`}`,
  }
}

/** As the npm package `cloudflared` has it. */
const releases = RELEASE_BASE.replace(/\/$/, '')

function whereSumsAre(version: string): string {
  return `it stands at ${releases}/tag/${version} under "SHA256 Checksums"`
}

/** The published sum is that of the archive, which the installer unpacks and removes. */
function ofUnpacked(url: string): string {
  return `fetch ${url}, compare it with the sum that is published beside it, unpack it, and take "shasum -a 256 cloudflared"`
}
