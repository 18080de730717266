/**
 * The settings "tunnel" (a mode, or an object) and "cloudflareAccess". cross-check.ts checks which options go together.
 */
import * as z from 'zod'

import { parseDuration } from './duration.ts'
import { isHostname } from './hostname.ts'
import { path, text } from './text.ts'

const maxGraceMs = 180_000

const hostname = () =>
  text((value) =>
    isHostname(value)
      ? undefined
      : [`("${value}") is not a host name`, 'write it like "cache.example.org", without "https://", port or path'],
  )

const gracePeriod = () =>
  text((value) => {
    const ms = parseDuration(value)
    if (ms === undefined) return [`("${value}") is not a time`, 'write it like "30s" or "1m30s"']
    return ms > maxGraceMs ? [`("${value}") is longer than cloudflared allows`, 'give at most "3m"'] : undefined
  })

const token = () =>
  text((value) =>
    value.trim() === ''
      ? ['is empty', 'give the token of the tunnel, preferably as a variable: "$TUNNEL_TOKEN"']
      : undefined,
  )

const binary = () =>
  path().check(({ value, issues }) => {
    if (value !== '' && !value.includes('/'))
      issues.push({
        code: 'custom',
        input: value,
        message: `("${value}") is not a path`,
        params: { remedy: 'give a path, or remove it to use "cloudflared" from PATH' },
      })
  })

const flag = () =>
  text((value) => {
    if (value === '') return ['is empty', 'remove it']
    if (/^--?(?:token|credentials-contents)(?:=|$)/.test(value)) {
      return [
        'would put a secret on a command line, which every user of this machine can read',
        'use "token", "tokenFile" or "credentialsFile"',
      ]
    }
    return undefined
  })

/** cloudflared's metrics listener has no password and shows its configuration, so it may only listen on loopback. */
const extraArgs = () =>
  z.array(flag()).check(({ value, issues }) => {
    for (const [index, arg] of value.entries()) {
      const [, inline] = /^--?metrics(?:=(.*))?$/s.exec(arg) ?? [undefined, null]
      const address = inline === null ? undefined : (inline ?? value[index + 1] ?? '')
      if (address === undefined || /^(?:127\.\d+\.\d+\.\d+|localhost|\[::1\]):\d+$/.test(address)) continue
      issues.push({
        code: 'custom',
        input: value,
        path: [index],
        message: `would open cloudflared's metrics listener on "${address}", which may be reachable from other machines`,
        params: { remedy: 'remove it: Burrow chooses a free port on 127.0.0.1' },
      })
    }
  })

const options = z.strictObject({
  mode: z
    .enum(['off', 'quick', 'token', 'credentials'])
    .describe(
      '"off": loopback only. "quick": a TryCloudflare tunnel, without an account; its random name changes with each start; for testing only. "token": a tunnel whose public hostnames are configured at Cloudflare. "credentials": a named tunnel whose ingress rules Burrow writes.',
    ),
  token: token().optional().describe('For "token": the token itself. Prefer "${TUNNEL_TOKEN}", from the environment.'),
  tokenFile: path()
    .optional()
    .describe(
      'For "token": a file that contains the token. "$CREDENTIALS_DIRECTORY/tunnel-token" works under systemd.',
    ),
  credentialsFile: path()
    .optional()
    .describe('For "credentials": the JSON file that "cloudflared tunnel create" wrote.'),
  hostname: hostname()
    .optional()
    .describe(
      'The public host name, "cache.example.org". Needed for "credentials"; with "token", it is used by status, doctor and the client setup.',
    ),
  protocol: z
    .enum(['http2', 'quic', 'auto'])
    .default('http2')
    .describe('Protocol between connector and edge. QUIC has lost request bodies without a Content-Length.'),
  region: z.enum(['global', 'us']).default('global').describe('Region of the edge to connect to.'),
  edgeIpVersion: z.enum(['auto', '4', '6']).default('auto').describe('IP version for connections to the edge.'),
  gracePeriod: gracePeriod()
    .default('30s')
    .describe('How long running downloads may continue when Burrow stops; at most "3m".'),
  logLevel: z
    .enum(['debug', 'info', 'warn', 'error'])
    .default('info')
    .describe("Minimum level of cloudflared's messages in Burrow's log."),
  haConnections: z
    .int()
    .min(1)
    .max(8)
    .optional()
    .describe('Number of connections to the edge. Default: that of cloudflared, 4.'),
  extraArgs: extraArgs().default([]).describe('Extra flags for "cloudflared tunnel", passed unchanged before "run".'),
  binary: binary()
    .optional()
    .describe(
      'The cloudflared to run. Default: "cloudflared" on PATH, otherwise the one that "burrow tunnel install" downloaded.',
    ),
})

export type TunnelValues = z.output<typeof options>

export const tunnel = z
  .union([z.enum(['off', 'quick']), options])
  .describe('The Cloudflare tunnel; Burrow runs its connector (cloudflared). Default: "off".')

export const cloudflareAccess = z
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
  .describe(
    'Cloudflare Access in front of this host: people who logged in there can see "/", listings and build logs without a password. Nix still uses a password.',
  )
