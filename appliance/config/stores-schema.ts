/** The settings "store", "stores" and "upstreams": where store objects come from. */
import * as z from 'zod'

import { absolutePath, path, publicKey, text } from './text.ts'

export const store = z
  .strictObject({
    dir: absolutePath()
      .default('/nix/store')
      .describe('The store directory as clients know it; part of every store path and signature.'),
    realDir: absolutePath()
      .optional()
      .describe('Where the files are, for a chroot store or a test store: "/mnt/box/nix/store". Default: "dir".'),
    stateDir: absolutePath()
      .optional()
      .describe(
        'Nix\'s own state directory. Default: "var/nix" beside the "store" folder of "realDir", so "/nix/var/nix" for the usual store.',
      ),
    database: absolutePath()
      .optional()
      .describe('Nix\'s SQLite database; read, never written. Default: "db/db.sqlite" in "stateDir".'),
    logDir: absolutePath()
      .optional()
      .describe('Where Nix keeps build logs. Default: "var/log/nix" beside the "store" folder of "realDir".'),
    daemonSocket: absolutePath()
      .nullable()
      .optional()
      .describe(
        'The Nix daemon\'s socket, used to protect paths from garbage collection while clients fetch them. null: not used. Default: "daemon-socket/socket" in "stateDir".',
      ),
  })
  .describe('The Nix store to serve.')

export const stores = z
  .array(
    z.strictObject({
      type: z
        .literal('directory')
        .describe('A binary cache directory, as "nix copy --to file:///srv/cache" creates it.'),
      dir: path().describe('The directory that contains "nix-cache-info".'),
    }),
  )
  .describe('Additional read-only stores, asked in this order for paths that are not in the Nix store.')

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
      ).describe('URL of the other cache.'),
      publicKeys: z
        .array(publicKey())
        .min(1)
        .describe('Its public keys. Paths not signed with one of them count as absent.'),
      mode: z
        .enum(['on-miss', 'always'])
        .default('on-miss')
        .describe('"on-miss": ask it for paths that are not in this cache. "always": ask it first.'),
      keep: z
        .boolean()
        .default(true)
        .describe(
          'true: store fetched paths in the depot; this cache signs them from then on. false: pass them on with their original signatures.',
        ),
      user: z.string().optional().describe('User name for HTTP basic auth.'),
      passwordFile: path().optional().describe('A file that contains the password.'),
    }),
  )
  .describe(
    'Other binary caches, asked for paths that are not in this cache. Each path is fetched once for all clients.',
  )

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
