/** `burrow keygen NAME`: creates a signing key in Nix's format. */
import { resolve } from 'node:path'
import { Command } from 'commander'

import { formatSecretKey, generateSecretKey } from '../../src/index.ts'
import { Complaint, reasonOf } from '../complaint.ts'
import type { Machine } from '../machine.ts'
import { createPrivateFile } from '../state/private-files.ts'

export function keygenCommand(machine: Machine): Command {
  return new Command('keygen')
    .description('create a signing key')
    .argument('<name>', "name of the key, by convention the cache's host name and a number: cache.example.org-1")
    .option('--out <file>', 'write the secret key to a new file (mode 0600) and print the public key')
    .addHelpText(
      'after',
      '\nWithout --out, the secret key is printed to standard output and the public key to standard error:\n  burrow keygen cache.example.org-1 --out cache.key\n  burrow keygen cache.example.org-1 > cache.key\n\nTo replace a key, add a second one to "signing.keyFiles", and remove the first one when all clients trust the second.',
    )
    .action((name: string, { out }: { out?: string }) => keygen(machine, name, out))
}

async function keygen(machine: Machine, name: string, out: string | undefined): Promise<void> {
  const key = makeKey(name)
  if (out === undefined) {
    machine.stdout.write(`${formatSecretKey(key)}\n`)
    machine.stderr.write(`public key: ${key.publicKey}\n`)
    return
  }
  const file = resolve(machine.workingDir, out)
  try {
    if (!(await createPrivateFile(file, `${formatSecretKey(key)}\n`)))
      throw new Complaint('refused', `Cannot write "${out}": it already exists; choose another name`)
  } catch (error) {
    if (error instanceof Complaint) throw error
    throw new Complaint('refused', `Cannot write "${out}": ${reasonOf(error)}`, { cause: error })
  }
  machine.stdout.write(`${key.publicKey}\n`)
}

function makeKey(name: string) {
  try {
    return generateSecretKey(name)
  } catch (error) {
    throw new Complaint('usage', (error as Error).message, { cause: error })
  }
}
