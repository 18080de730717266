/** The settings "depot" and "push". */
import * as z from 'zod'

import { byteSize, duration, path, publicKey, text } from './text.ts'

const regex = () =>
  text((value) => {
    try {
      new RegExp(value)
      return undefined
    } catch (error) {
      return [`is not a regular expression: ${(error as Error).message}`, 'correct it']
    }
  })

export const depot = z
  .strictObject({
    dir: path()
      .optional()
      .describe('Where pushed paths are stored. Include it in backups. Default: "depot" in the state directory.'),
    maxBytes: byteSize()
      .default('50 GiB')
      .describe(
        'Maximum size. When it is nearly full, the least recently used paths are removed first; pinned paths stay.',
      ),
    keepFree: byteSize().default('2 GiB').describe('Free space to leave on its disk.'),
    keepUnusedFor: duration()
      .default('30d')
      .describe('How long a path is kept after its last use. Pins keep their paths.'),
  })
  .describe('Storage for pushed paths.')

export const push = z
  .strictObject({
    references: z
      .enum(['closed', 'any'])
      .default('closed')
      .describe(
        '"closed": a path is accepted only if all its references are in this cache or in an upstream cache. "any": no such check.',
      ),
    upstreamKeys: z
      .array(publicKey())
      .default(['cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY='])
      .describe('Keys of caches that clients use as well: paths signed with one of them need not be pushed.'),
    requireSignatures: z
      .array(publicKey())
      .default([])
      .describe(
        'If not empty: a pushed path must be content-addressed or be signed with one of these keys. Use it if you do not trust the users who push.',
      ),
    refuse: z
      .array(regex())
      .default([])
      .describe('Regular expressions; a path is refused if its name (with hash part) matches one.'),
    maxNarBytes: byteSize().default('64 GiB').describe('Maximum size of a NAR, uncompressed.'),
    bytesPerDayPerUser: byteSize()
      .optional()
      .describe('Maximum size that a user may push in a day. Default: no limit.'),
    maxBodyBytes: byteSize()
      .optional()
      .describe(
        'The largest NAR body that "nix copy --to" may send; larger ones are refused with a message that names "burrow push". Default: 95 MB with a tunnel, since the edge refuses 100 MB, otherwise no limit.',
      ),
  })
  .describe('Rules and limits for pushes.')
