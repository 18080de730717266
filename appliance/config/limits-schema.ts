/** The settings "limits", "leases", "log" and "analytics". */
import * as z from 'zod'

import { seconds } from './text.ts'

export const limits = z
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

export const leases = z
  .strictObject({
    narInfoSeconds: seconds(30, 86_400)
      .default(600)
      .describe('How long a path is protected from garbage collection after its narinfo was served.'),
    maxPaths: z.int().min(1).max(10_000_000).default(100_000).describe('Maximum number of paths protected at once.'),
  })
  .describe('Protection against garbage collection between a narinfo and its NAR; needs the Nix daemon.')

export const log = z
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

export const analytics = z
  .strictObject({
    keepDays: z
      .int()
      .min(1)
      .max(400)
      .default(400)
      .describe('How many days usage figures are kept, the current day included.'),
    keepAddressesDays: z
      .int()
      .min(0)
      .max(400)
      .default(7)
      .describe(
        'How many days it is kept from which networks a user came (the /24 of an IPv4 address, the /48 of an IPv6 address). 0: not at all. Whole addresses are never stored.',
      ),
  })
  .describe('Usage figures.')
