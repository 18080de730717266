/** The settings "signing", "compression" and "larder": how store objects are served. */
import * as z from 'zod'

import { byteSize, path, text } from './text.ts'

export const signing = z
  .strictObject({
    keyFiles: z
      .array(path())
      .optional()
      .describe(
        'Secret keys as "nix key generate-secret" and "burrow keygen" write them; each adds a signature. Default: a key generated at the first start and stored in the state directory. []: sign nothing.',
      ),
    name: text((value) =>
      /^[^\s:]+$/.test(value)
        ? undefined
        : ['is empty, or has a space or a colon', 'use a name like "cache.example.org-1"'],
    )
      .optional()
      .describe('The name of the key in signatures, instead of the one in its file. Only with a single key.'),
  })
  .describe('The keys that sign narinfos.')

export const compression = z
  .union([
    z.enum(['zstd', 'none']),
    z.strictObject({
      type: z.literal('zstd'),
      level: z.int().min(1).max(19).default(3).describe('1 is fastest, 19 smallest.'),
    }),
    z.strictObject({ type: z.literal('none') }),
  ])
  .describe('Compression of NARs.')

export const larder = z
  .strictObject({
    dir: path()
      .optional()
      .describe(
        'Default: "larder" in $CACHE_DIRECTORY if that is set, otherwise in the state directory. It is a cache and can be deleted.',
      ),
    maxBytes: byteSize().default('20 GiB').describe('Maximum size. The least recently used files are removed first.'),
    deltas: z
      .boolean()
      .default(true)
      .describe(
        'Send updates as deltas to "burrow relay". They are computed in the background and stored in the larder.',
      ),
  })
  .describe('Compressed NARs kept on disk, so that each is compressed once.')
