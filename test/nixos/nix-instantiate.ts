/** Evaluations by real Nix, wherever and as whoever the tests run. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import { createScratchDir } from '../appliance/scratch-dir.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const run = promisify(execFile)

/** Standard output of `nix-instantiate`, run in the project's directory. */
export async function nixInstantiate(args: readonly string[]): Promise<string> {
  await using dir = await createScratchDir()
  // A store that holds nothing: only evaluation is wanted.
  const env = {
    PATH: process.env.PATH,
    HOME: dir.path,
    NIX_CONF_DIR: dir.path,
    BURROW_TEST_NIXPKGS_LIB: process.env.BURROW_TEST_NIXPKGS_LIB,
  }
  const { stdout } = await run('nix-instantiate', ['--store', 'dummy://', ...args], {
    cwd: root,
    env,
    maxBuffer: 10_000_000,
  })
  return stdout
}
