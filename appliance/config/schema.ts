/**
 * The config file: every setting with its form, its default and its meaning. The one source of the types, of the checks
 * and of `config.schema.json`. What concerns several settings at once is in cross-check.ts; what a setting's text means
 * is in resolve.ts.
 */
import * as z from 'zod'

import { parseByteSize } from './byte-size.ts'
import { parseListenAddress } from './listen-address.ts'
import { depot, push, stores, upstreams } from './stores-schema.ts'
import { absolutePath, controlCharacters, path, text } from './text.ts'
import { tunnel } from './tunnel-schema.ts'

const listen = () =>
  text((value) => {
    const parsed = parseListenAddress(value)
    if (!('refusal' in parsed)) return undefined
    return [
      `("${value}") ${parsed.refusal}`,
      'use "127.0.0.1:8080", "[::1]:8080" or "unix:/path", and let a tunnel or a proxy on this machine bring the world in',
    ]
  })

const seconds = (least: number, most: number) => z.int().min(least).max(most)

const access = z.enum(['pull', 'push', 'admin'])

const userName = () =>
  text((value) => {
    if (value === '') return ['is empty', 'give the user a name']
    if (value.includes(':')) return ['has a colon, which ends the name in HTTP basic auth', 'choose a name without one']
    if (controlCharacters.test(value))
      return ['has a control character, which HTTP basic auth cannot carry', 'remove it']
    return undefined
  })

const password = () => text(passwordFault)

const hashForm = /^\$(?:argon2(?:id|i|d)|apr1|2[abxy]?|[156y]|gy|7|scrypt|pbkdf2[a-z0-9-]*)\$/

export function passwordFault(value: string): readonly [message: string, remedy: string] | undefined {
  if (value.startsWith('$argon2id$'))
    return ['holds an argon2id hash where a password belongs', 'give it as "passwordHash"']
  if (hashForm.test(value))
    return [
      'holds a password hash of another kind, which Burrow cannot check',
      'make an argon2id hash with "burrow hash-password" and give it as "passwordHash"',
    ]
  if (hashForm.test(value.slice(value.indexOf(':') + 1)))
    return [
      'holds a line of an htpasswd file ("name:hash"), where a password belongs',
      'give the password alone, or make a hash with "burrow hash-password" and give it as "passwordHash"',
    ]
  if (value === '') return ['is an empty password', 'give one, or remove the user']
  if (controlCharacters.test(value))
    return ['has a control character, which HTTP basic auth cannot carry', 'choose a password without one']
  return undefined
}

/** Shorter ones are guessed within hours, however slow each guess is. */
export const minPasswordLength = 8

const passwordHash = () =>
  text((value) => {
    const memoryKib =
      /^\$argon2id\$v=19\$m=(\d{1,8}),t=\d{1,4},p=\d{1,2}\$[A-Za-z0-9+/]{11,}\$[A-Za-z0-9+/]{16,}$/.exec(value)?.[1]
    if (/^\$2[abxy]?\$/.test(value))
      return ['is a bcrypt hash; only argon2id is supported', 'make one with "burrow hash-password"']
    if (memoryKib === undefined || value.length > 127)
      return ['is not an argon2id hash', 'make one with "burrow hash-password"']
    if (Number(memoryKib) > 1024 * 1024)
      return ['takes more than 1 GiB of memory for every check', 'make one with "burrow hash-password"']
    return undefined
  })

const userObject = z
  .strictObject({
    name: userName().describe('The name in the netrc entry\'s "login". No colon. Unique.'),
    password: password()
      .optional()
      .describe('The password in clear. Better: "${NAME}" from the environment, "passwordFile" or "passwordHash".'),
    passwordHash: passwordHash()
      .optional()
      .describe('An argon2id hash of the password, as "burrow hash-password" prints it.'),
    passwordFile: path()
      .optional()
      .describe(
        'A file that holds the password; one line break at its end is not part of it. "$CREDENTIALS_DIRECTORY/name" works under systemd.',
      ),
    access: z
      .array(access)
      .min(1)
      .default(['pull'])
      .describe('What the user may do: "pull" store objects, "push" new ones, "admin"ister.'),
    expires: z.iso
      .datetime({ offset: true })
      .optional()
      .describe('Expiry time (ISO 8601 with a zone, "2027-01-31T00:00:00Z"). After it the user is refused.'),
  })
  .meta({ oneOf: [{ required: ['password'] }, { required: ['passwordHash'] }, { required: ['passwordFile'] }] })

const userText = text((value) => {
  const colon = value.indexOf(':')
  if (colon < 1)
    return ['is not of the form "name:password"', 'write it so, or as an object with "name" and "passwordFile"']
  if (controlCharacters.test(value)) return ['has a control character, which HTTP basic auth cannot carry', 'remove it']
  return passwordFault(value.slice(colon + 1))
})

const store = z
  .strictObject({
    dir: absolutePath()
      .default('/nix/store')
      .describe('The store directory as clients know it; part of every store path and signature.'),
    realDir: absolutePath()
      .optional()
      .describe('Where the files really lie, for a chroot or scratch store: "/mnt/box/nix/store". Default: "dir".'),
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
        'The Nix daemon\'s socket, by which paths are protected from garbage collection while they are fetched. null: not used. Default: "daemon-socket/socket" in "stateDir".',
      ),
  })
  .describe('The Nix store that is served.')

const signing = z
  .strictObject({
    keyFiles: z
      .array(path())
      .optional()
      .describe(
        'Secret keys as "nix key generate-secret" and "burrow keygen" write them; each adds a signature. Default: a key made at the first start and kept in the state directory. []: sign nothing.',
      ),
    name: text((value) =>
      /^[^\s:]+$/.test(value)
        ? undefined
        : ['is empty, or has a space or a colon', 'use a name like "cache.example.org-1"'],
    )
      .optional()
      .describe('The name of the key in signatures, instead of the one in its file. Only with a single key.'),
  })
  .describe('The keys that sign what is served.')

const compression = z
  .union([
    z.enum(['zstd', 'none']),
    z.strictObject({
      type: z.literal('zstd'),
      level: z.int().min(1).max(19).default(3).describe('1 is fastest, 19 smallest.'),
    }),
    z.strictObject({ type: z.literal('none') }),
  ])
  .describe('Compression of NARs.')

const larder = z
  .strictObject({
    dir: path()
      .optional()
      .describe(
        'Default: "larder" in $CACHE_DIRECTORY if that is set, else in the state directory. It is a cache and can be deleted.',
      ),
    maxBytes: z
      .union([
        z.int().min(0),
        text((value) =>
          parseByteSize(value) === undefined
            ? [`("${value}") is not a size`, 'write "20 GiB", "500 MB" or a number of bytes']
            : undefined,
        ),
      ])
      .default('20 GiB')
      .describe('Maximum size. The least recently used files are removed first.'),
    deltas: z
      .boolean()
      .default(true)
      .describe('Send updates as deltas to "burrow relay". They are made in the background and kept in the larder.'),
  })
  .describe('Compressed NARs kept on disk, so that each is compressed once.')

const limits = z
  .strictObject({
    connections: z
      .int()
      .min(1)
      .max(1_000_000)
      .default(4096)
      .describe('Maximum number of client connections. Further ones are closed at once.'),
    concurrentNars: z
      .int()
      .min(1)
      .max(100_000)
      .default(1024)
      .describe(
        'Maximum number of NARs sent at once; one client gets at most three quarters of them. Further requests wait.',
      ),
    waitingNars: z
      .int()
      .min(0)
      .max(100_000)
      .default(1024)
      .describe('Maximum number of NAR requests that wait. Further ones get 503 with Retry-After.'),
    queueSeconds: seconds(1, 60)
      .default(20)
      .describe('How long a request waits before it gets 503; at most half of firstByteSeconds.'),
    headerBytes: z.int().min(4096).max(1_048_576).default(16_384).describe("Size of a request's header."),
    headersSeconds: seconds(1, 600).default(20).describe("Time for a request's header to arrive whole."),
    stallSeconds: seconds(5, 86_400)
      .default(300)
      .describe('A download is closed when the client reads nothing for this long.'),
    firstByteSeconds: seconds(1, 90)
      .default(75)
      .describe(
        'How long a client waits for the first byte of a reply, queueing included, before it gets 503. The edge times out after 120 s.',
      ),
  })
  .describe('Resource limits.')

const leases = z
  .strictObject({
    narInfoSeconds: seconds(30, 86_400)
      .default(600)
      .describe('How long a path is protected from garbage collection after its narinfo was served.'),
    maxPaths: z.int().min(1).max(10_000_000).default(100_000).describe('Maximum number of paths protected at once.'),
  })
  .describe('Protection against garbage collection between a narinfo and its NAR; needs the Nix daemon.')

const log = z
  .strictObject({
    level: z
      .enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'])
      .default('info')
      .describe('Minimum log level.'),
    requests: z
      .enum(['summed', 'each'])
      .default('summed')
      .describe(
        '"summed": small NARs and refused logins are logged as sums every few seconds. "each": one line for every request.',
      ),
    format: z
      .enum(['auto', 'json', 'pretty'])
      .default('auto')
      .describe('"auto": pretty on a terminal, JSON lines elsewhere.'),
  })
  .describe('The log, on standard error.')

export const configSchema = z
  .strictObject({
    $schema: z.string().optional().describe('Where this schema lies, for editors.'),
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
    cloudflareAccess: z
      .strictObject({
        teamDomain: text((value) =>
          /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.cloudflareaccess\.com)?$/i.test(value)
            ? undefined
            : [`("${value}") is not an Access team domain`, 'write it like "example.cloudflareaccess.com"'],
        ).describe('The team: "example.cloudflareaccess.com".'),
        audience: text((value) =>
          /^[0-9a-f]{64}$/i.test(value)
            ? undefined
            : [
                'is not the tag of an Access application',
                'give its "Application Audience (AUD) Tag", 64 hexadecimal digits',
              ],
        ).describe('The Application Audience (AUD) Tag of the Access application in front of this host.'),
      })
      .optional()
      .describe(
        'Cloudflare Access in front of this host: people who logged in there can see "/", listings and build logs without a password. Nix still uses a password.',
      ),
    public: z
      .boolean()
      .default(false)
      .describe('true: anyone can pull, without a password. Required if there are no users.'),
    users: z
      .array(z.union([userText, userObject]))
      .optional()
      .describe('Who may use the cache: objects, or "name:password".'),
    signing: signing.prefault({}),
    priority: z
      .int()
      .min(0)
      .max(1_000_000)
      .default(50)
      .describe(
        'Clients ask caches with a lower number first. cache.nixos.org has 40, so by default what is public comes from there and not over your uplink.',
      ),
    wantMassQuery: z
      .boolean()
      .default(true)
      .describe('Whether clients should query this cache for every path they build.'),
    store: store.prefault({}),
    stores: stores.default([]),
    depot: z
      .union([z.boolean(), depot])
      .optional()
      .describe(
        'What is pushed here, kept on disk. true: with the defaults. false: nothing can be pushed. Default: on when a user may push, or an upstream is kept.',
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
    edgeCache: z
      .enum(['deny', 'allow'])
      .default('deny')
      .describe('"allow" lets the edge keep copies; only for a public cache.'),
    log: log.prefault({}),
    limits: limits.prefault({}),
    leases: leases.prefault({}),
  })
  .meta({
    title: 'Burrow',
    description:
      'Configuration of Burrow, a private Nix binary cache. Strings may hold $NAME, ${NAME}, ${NAME:-default} and $$ (a dollar sign).',
  })

/** The file as it may be written, defaults filled in. */
export type ConfigFile = z.output<typeof configSchema>

/** JSON Schema (draft 2020-12) of the file as it may be written, with variables in its strings. */
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
