/** The settings of what is served: stores, the depot for what is pushed, and other caches behind this one. */
import * as z from 'zod'

import { parseByteSize } from './byte-size.ts'
import { path, text } from './text.ts'

const byteSize = () =>
  z.union([
    z.int().min(0),
    text((value) =>
      parseByteSize(value) === undefined
        ? [`("${value}") is not a size`, 'write "20 GiB", "500 MB" or a number of bytes']
        : undefined,
    ),
  ])

const span = () =>
  text((value) =>
    parseSpan(value) === undefined ? [`("${value}") is not a time`, 'write "30d", "12h" or "45m"'] : undefined,
  )

const units: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 }

/** "30d", "12h", "45m" in milliseconds. */
export function parseSpan(value: string): number | undefined {
  const [, digits, unit] = /^(\d{1,6})([mhd])$/.exec(value) ?? []
  return digits === undefined ? undefined : Number(digits) * units[unit!]!
}

const publicKey = () =>
  text((value) =>
    /^[^\s:]+:[A-Za-z0-9+/]{43}=$/.test(value)
      ? undefined
      : [`("${value}") is not a public key`, 'write it as in "trusted-public-keys": "name:base64"'],
  )

const regex = () =>
  text((value) => {
    try {
      new RegExp(value)
      return undefined
    } catch (error) {
      return [`is no regular expression: ${(error as Error).message}`, 'correct it']
    }
  })

export const stores = z
  .array(
    z.strictObject({
      type: z.literal('directory').describe('A binary cache folder, as "nix copy --to file:///srv/cache" makes it.'),
      dir: path().describe('The folder; it has a "nix-cache-info".'),
    }),
  )
  .describe(
    'Further stores that are served, read-only. They are asked in this order for paths that the Nix store does not have.',
  )

export const depot = z
  .strictObject({
    dir: path()
      .optional()
      .describe(
        'Where what is pushed is kept. This is data: include it in backups. Default: "depot" in the state directory.',
      ),
    maxBytes: byteSize()
      .default('50 GiB')
      .describe(
        'Maximum size. When it is nearly full, the least recently used paths are removed first; pinned paths stay.',
      ),
    keepFree: byteSize().default('2 GiB').describe('Free space to leave on its disk.'),
    keepUnusedFor: span().default('30d').describe('How long a path is kept after its last use. Pins keep their paths.'),
  })
  .describe('What is pushed here, kept on disk.')

export const push = z
  .strictObject({
    references: z
      .enum(['closed', 'any'])
      .default('closed')
      .describe(
        '"closed": a path is accepted only when all it refers to is here, or at an upstream cache. "any": no such check.',
      ),
    upstreamKeys: z
      .array(publicKey())
      .default(['cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY='])
      .describe('Keys of caches that clients have as well: a path with a signature of one of them need not be pushed.'),
    requireSignatures: z
      .array(publicKey())
      .default([])
      .describe(
        'If not empty: a pushed path must be content-addressed or carry a signature of one of these keys. Use it when those who push are not trusted to sign.',
      ),
    refuse: z
      .array(regex())
      .default([])
      .describe('Regular expressions; a path whose name (hash part included) matches one is refused.'),
    maxNarBytes: byteSize().default('64 GiB').describe('The largest NAR that is accepted, uncompressed.'),
    keepUnfinished: span().default('24h').describe('How long the parts of an interrupted push are kept.'),
    bytesPerDayPerUser: byteSize().optional().describe('What a user may push in a day. Default: no limit.'),
    unfinishedBytesPerUser: byteSize().default('20 GiB').describe('What a user may have of unfinished uploads.'),
    maxBodyBytes: byteSize()
      .optional()
      .describe(
        'The largest NAR body that "nix copy --to" may send; larger ones are refused with a hint at "burrow push". Default: 95 MB behind a tunnel, whose edge refuses 100 MB, else no limit.',
      ),
  })
  .describe('What may be pushed.')

export const upstreams = z
  .array(
    z.strictObject({
      url: text((value) =>
        isUpstreamUrl(value)
          ? undefined
          : [
              `("${value}") is not the URL of a binary cache`,
              'write it like "https://cache.nixos.org", without user, password or query',
            ],
      ).describe('The other cache.'),
      publicKeys: z
        .array(publicKey())
        .min(1)
        .describe('Its keys: a path without a signature of one of them counts as absent.'),
      mode: z
        .enum(['on-miss', 'always'])
        .default('on-miss')
        .describe('"on-miss": asked for what is not here. "always": asked first.'),
      keep: z
        .boolean()
        .default(true)
        .describe(
          'true: what is fetched goes into the depot, and is signed by this cache from then on. false: it is only passed on.',
        ),
      user: z.string().optional().describe('The name for HTTP basic auth there.'),
      passwordFile: path().optional().describe('A file that holds the password for it.'),
    }),
  )
  .describe('Other binary caches, asked for what is not here. Each path is fetched once for all clients.')

function isUpstreamUrl(value: string): boolean {
  if (!URL.canParse(value)) return false
  const url = new URL(value)
  return (
    ['http:', 'https:'].includes(url.protocol) &&
    url.username === '' &&
    url.password === '' &&
    url.search === '' &&
    url.hash === ''
  )
}
