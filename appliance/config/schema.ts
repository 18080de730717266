/**
 * The schema of the config file: type, default and description of each setting. The types, the checks and
 * `config.schema.json` are derived from it. cross-check.ts checks settings against each other; resolve.ts converts
 * values.
 */
import * as z from 'zod'

import { parseContact } from '../../src/index.ts'
import { depot, push } from './depot-schema.ts'
import { analytics, leases, limits, log } from './limits-schema.ts'
import { parseListenAddress } from './listen-address.ts'
import { publish } from './publish-schema.ts'
import { compression, larder, signing } from './serving-schema.ts'
import { store, stores, upstreams } from './stores-schema.ts'
import { path, text } from './text.ts'
import { cloudflareAccess, tunnel } from './tunnel-schema.ts'
import { users } from './users-schema.ts'

const listen = () =>
  text((value) => {
    const parsed = parseListenAddress(value)
    if (!('refusal' in parsed)) return undefined
    return [
      `("${value}") ${parsed.refusal}`,
      'use "127.0.0.1:8080", "[::1]:8080" or "unix:/path", and a tunnel or a local proxy for clients on other machines',
    ]
  })

const contact = () =>
  text((value) =>
    parseContact(value) === undefined
      ? [
          `("${value}") is neither a mail address nor a web address`,
          'write "ana@example.org" or "https://chat.example.org/cache"',
        ]
      : undefined,
  )

export const configSchema = z
  .strictObject({
    $schema: z.string().optional().describe('Location of this schema, for editors.'),
    listen: listen()
      .default('127.0.0.1:8080')
      .describe('Where clients (the tunnel, or a proxy on this machine) connect: a loopback address or "unix:/path".'),
    operator: listen()
      .nullable()
      .optional()
      .describe(
        'A second loopback listener for /status, /healthz, /readyz and /metrics, without authentication; never route it through a tunnel. null: none. Default: the unix socket "operator.sock" in the state directory, which "burrow status" asks.',
      ),
    tunnel: tunnel.optional(),
    cloudflareAccess: cloudflareAccess.optional(),
    public: z
      .boolean()
      .default(false)
      .describe('true: anyone can pull, without a password. Required if there are no users.'),
    users: users.optional(),
    mutableUsers: z
      .boolean()
      .default(true)
      .describe(
        'Whether users can be added with "burrow user add", "burrow invite" and the pages, beside those of "users". They are kept in the state directory. false: only "users" counts.',
      ),
    signing: signing.prefault({}),
    priority: z
      .int()
      .min(0)
      .max(1_000_000)
      .default(50)
      .describe(
        'Clients ask caches with a lower number first. cache.nixos.org has 40, so by default clients fetch public paths from there and not over your uplink.',
      ),
    wantMassQuery: z
      .boolean()
      .default(true)
      .describe('Whether clients should query this cache for every path they build.'),
    store: store.prefault({}),
    publish: publish.optional(),
    stores: stores.default([]),
    depot: z
      .union([z.boolean(), depot])
      .optional()
      .describe(
        'Storage for pushed paths. true: use the defaults. false: nothing can be pushed. Default: on if a user may push, or if an upstream has "keep".',
      ),
    push: push.prefault({}),
    upstreams: upstreams.default([]),
    compression: compression.default('zstd'),
    larder: z
      .union([z.literal(false), larder])
      .prefault({})
      .describe('Compressed NARs kept on disk. false: keep none, and compress for each client.'),
    state: z
      .strictObject({
        dir: path()
          .optional()
          .describe(
            'Directory for the key and other persistent secrets (mode 0700). Default: $STATE_DIRECTORY, else $XDG_STATE_HOME/burrow, else ~/.local/state/burrow.',
          ),
      })
      .prefault({})
      .describe('Persistent state.'),
    indexPage: z
      .union([z.boolean(), path()])
      .default(true)
      .describe(
        'What "/" shows: true for a page that explains how to use the cache, the path of an HTML or text file, or false for 404.',
      ),
    contact: contact()
      .optional()
      .describe(
        'Whom users can ask: a mail address, or the URL of a web page. Shown on pages and in errors, also to people who are not logged in.',
      ),
    edgeCache: z
      .enum(['deny', 'allow'])
      .default('deny')
      .describe('"allow" lets the edge keep copies; only for a public cache.'),
    log: log.prefault({}),
    limits: limits.prefault({}),
    leases: leases.prefault({}),
    analytics: z
      .union([z.literal(false), analytics])
      .prefault({})
      .describe('Usage figures, in "usage.sqlite" in the state directory. false: record nothing.'),
  })
  .meta({
    title: 'Burrow',
    description:
      'Configuration of Burrow, a private Nix binary cache. Strings may contain $NAME, ${NAME}, ${NAME:-default} and $$ (a dollar sign).',
  })

/** A valid config file with its defaults. */
export type ConfigFile = z.output<typeof configSchema>

/** JSON Schema (draft 2020-12) of the file before variables are expanded. */
export function toJsonSchema(): z.core.JSONSchema.BaseSchema {
  return z.toJSONSchema(configSchema, {
    io: 'input',
    override({ jsonSchema }) {
      const { enum: words, format, pattern, ...rest } = jsonSchema
      if (jsonSchema.type !== 'string' || (words === undefined && format === undefined)) return
      for (const key of Object.keys(jsonSchema)) delete jsonSchema[key]
      Object.assign(jsonSchema, rest, {
        anyOf: [words === undefined ? { format, pattern } : { enum: words }, { pattern: '\\$' }],
      })
    },
  })
}
