/**
 * `burrow publish explain`: whether a path of the Nix store is published, and why.
 *
 *     /nix/store/…-app-1.0 is not published.
 *       it refers to /nix/store/…-db-secret:
 *         the name matches "*-secret" in publish.names.deny
 */
import { Command } from 'commander'

import type { Explanation, Refusal } from '../../../src/index.ts'
import { Complaint } from '../../complaint.ts'
import type { Machine } from '../../machine.ts'
import { findNamedPath } from '../../near-end/named-path.ts'
import { explainPublished } from '../../operator/publish-client.ts'
import { printable } from '../../terminal/format.ts'

interface ExplainFlags {
  readonly config?: string
  readonly json?: boolean
}

export function explainCommand(machine: Machine): Command {
  return new Command('explain')
    .description('show whether a path is published, and which root or rule decides')
    .argument('<path>', 'a store path, or a link to one')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Asks the running Burrow. If it is not running, reads the config and the store.
Pushed paths are served whether they are published or not: see "burrow who".

Exit code 0 if the path is published; 1 if it is not, or cannot be determined.

  burrow publish explain /run/current-system
  burrow publish explain /nix/store/…-app-1.0`,
    )
    .action((path: string, _options, command: Command) =>
      explain(machine, path, command.optsWithGlobals<ExplainFlags>()),
    )
}

async function explain(machine: Machine, arg: string, { config, json }: ExplainFlags): Promise<void> {
  const storePath = await findNamedPath(machine, arg)
  const { answer, isRunning } = await explainPublished(machine, config, storePath)
  if (json === true) machine.stdout.write(`${JSON.stringify({ running: isRunning, storePath, ...answer })}\n`)
  if (answer.policy === 'none') {
    if (json !== true)
      machine.stdout.write('All valid paths of the Nix store are published: the config has no "publish".\n')
    return
  }
  const { explanation } = answer
  if (explanation.verdict === 'published') {
    if (json !== true)
      machine.stdout.write(`${[`${printable(storePath)} is published.`, ...publishedLines(explanation)].join('\n')}\n`)
    return
  }
  if (json !== true && explanation.verdict === 'unpublished')
    machine.stdout.write(`${refusedLines(explanation).join('\n')}\n`)
  throw new Complaint(
    'refused',
    explanation.verdict === 'absent'
      ? `${printable(storePath)} is not a valid path of this store`
      : `${printable(storePath)} is not published`,
  )
}

function publishedLines({ root, signer }: Explanation): string[] {
  return [
    ...(root === undefined ? [] : [`  root: ${printable(root.root)}`, ...chainLines(root.chain)]),
    ...(signer === undefined ? [] : [`  signed by: ${printable(signer.split(':')[0]!)}`]),
  ]
}

function refusedLines({ refusals, because }: Explanation): string[] {
  const own = refusals.map((refusal) => `  ${toText(refusal)}`)
  if (because === undefined) return own
  return [
    ...own,
    '  it refers to a path that is not published:',
    ...chainLines(because.chain),
    ...because.refusals.map((refusal) => `    ${toText(refusal)}`),
  ]
}

/** From the first path to the last, each of which the one before refers to. */
const chainLines = (chain: readonly string[]) =>
  chain.length < 2 ? [] : chain.map((path, at) => `    ${at === 0 ? '' : '-> '}${printable(path)}`)

function toText(refusal: Refusal): string {
  switch (refusal.kind) {
    case 'no-root':
      return 'no root of "publish.roots" refers to it'
    case 'denied':
      return `the name matches "${printable(refusal.glob)}" in "publish.names.deny"`
    case 'unsigned':
      return refusal.names.length === 0
        ? 'it has no signature, and "publish.signedBy" asks for one'
        : `it has no valid signature by a key of "publish.signedBy", only signatures named ${refusal.names.map((name) => printable(name, 60)).join(', ')}`
    case 'unusable':
      return 'its record in the store database cannot be used'
  }
}
