/** The setting "publish": which paths of this machine's store are served. */
import * as z from 'zod'

import { findGlobProblem } from '../../src/index.ts'
import { path, publicKey, text } from './text.ts'

const glob = () =>
  text((value) => {
    const problem = findGlobProblem(value)
    return problem === undefined
      ? undefined
      : [`("${value}") ${problem}`, 'write a pattern for names without hash part, such as "*-secret*"']
  })

export const publish = z
  .strictObject({
    roots: z
      .array(path())
      .min(1)
      .max(1000)
      .optional()
      .describe(
        'Only these paths and everything they refer to: store paths, links to them (such as "/nix/var/nix/profiles/system"), or directories of such links (such as "/nix/var/nix/gcroots"). Links are followed again when they change. Default: all paths.',
      ),
    names: z
      .strictObject({
        deny: z
          .array(glob())
          .max(1000)
          .default([])
          .describe(
            'Patterns for names without hash part: "*" stands for any characters, "?" for one. A path whose name matches, its derivation, and everything that refers to them is not served.',
          ),
      })
      .optional()
      .describe('Rules for names.'),
    signedBy: z
      .array(publicKey())
      .min(1)
      .max(100)
      .optional()
      .describe(
        'Only paths that have, like everything they refer to, a valid signature by one of these keys in the store. Default: any path.',
      ),
  })
  .describe(
    "Which paths of this machine's Nix store are served; all given rules must hold. Other paths are absent. Pushed paths and other stores are not affected. Default: all paths.",
  )
