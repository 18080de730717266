/**
 * Resolves the arguments of `burrow push` to store paths: a store path or a file in it, a link to it (`./result`), or
 * an installable, which Nix builds or finds (`nixpkgs#hello`, `.#default`).
 */
import { execFile } from 'node:child_process'
import { realpath } from 'node:fs/promises'
import { resolve } from 'node:path'
import { promisify } from 'node:util'

import { Complaint, systemCodeOf } from '../complaint.ts'
import type { Machine } from '../machine.ts'

const run = promisify(execFile)
const maxOutputBytes = 16 * 1024 * 1024

/**
 * Rejects with a Complaint that names the argument. `dir` is the store directory as clients see it, `realDir` the
 * location of its files.
 */
export async function findPushedPaths(
  machine: Machine,
  args: readonly string[],
  { dir, realDir }: { readonly dir: string; readonly realDir: string },
): Promise<string[]> {
  const found = await Promise.all(args.map((arg) => findOne(machine, arg, dir, realDir)))
  return [...new Set(found.flat())]
}

async function findOne(machine: Machine, arg: string, dir: string, realDir: string): Promise<string[]> {
  const direct = topOf(arg, dir)
  if (direct !== undefined) return [direct]
  try {
    const real = await realpath(resolve(machine.workingDir, arg))
    const top = topOf(real, realDir) ?? topOf(real, dir)
    if (top === undefined)
      throw new Complaint('usage', `Cannot push "${arg}": it leads to "${real}", which is not in the store "${dir}"`)
    return [`${dir}${top.slice(top.startsWith(`${realDir}/`) ? realDir.length : dir.length)}`]
  } catch (error) {
    if (systemCodeOf(error) !== 'ENOENT' && systemCodeOf(error) !== 'ENOTDIR') throw error
    if (!/[#:]|^\.$/.test(arg))
      throw new Complaint(
        'usage',
        `Cannot push "${arg}": it is not a file, a store path or an installable (like "nixpkgs#hello")`,
      )
    return await buildInstallable(machine, arg)
  }
}

function topOf(path: string, dir: string): string | undefined {
  const name = path.startsWith(`${dir}/`) ? path.slice(dir.length + 1).split('/')[0] : undefined
  return name !== undefined && /^[0-9a-df-np-sv-z]{32}-./.test(name) ? `${dir}/${name}` : undefined
}

async function buildInstallable(machine: Machine, installable: string): Promise<string[]> {
  try {
    const { stdout } = await run(
      'nix',
      [
        '--extra-experimental-features',
        'nix-command flakes',
        'build',
        '--no-link',
        '--print-out-paths',
        '--',
        installable,
      ],
      {
        cwd: machine.workingDir,
        env: machine.env,
        maxBuffer: maxOutputBytes,
      },
    )
    return stdout.split('\n').filter((line) => line !== '')
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT')
      throw new Complaint('refused', `Cannot push "${installable}": "nix" is not on PATH`)
    const { stderr = '' } = error as { stderr?: string }
    throw new Complaint('refused', `Cannot push "${installable}": Nix could not build it\n${stderr.trim()}`, {
      cause: error,
    })
  }
}
