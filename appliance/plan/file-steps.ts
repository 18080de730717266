/** Steps that change files and run commands. What already is as wanted becomes a step that keeps it. */
import { execFile } from 'node:child_process'
import { chmod, lstat, mkdir, readFile, rename, rm, rmdir, unlink, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'

import { Complaint, reasonOf, systemCodeOf } from '../complaint.ts'
import type { Environment } from '../machine.ts'
import type { Step } from './plan.ts'

export async function planDir(path: string, mode: number): Promise<Step> {
  if (await exists(path)) return { verb: 'keep', what: path }
  const run = async () => {
    await makeParents(path)
    await mkdir(path)
    // The umask may be 077.
    await chmod(path, mode)
  }
  return { verb: 'create', what: `${path} (mode ${octal(mode)})`, run }
}

/** Replaces the file, unless it holds this text already. */
export async function planFile(path: string, text: string, mode: number): Promise<Step> {
  if ((await readText(path)) === text) return { verb: 'keep', what: path }
  const run = async () => {
    await makeParents(path)
    const temporary = `${path}.tmp`
    await rm(temporary, { force: true })
    await writeFile(temporary, text, { flag: 'wx', mode: 0o600, flush: true })
    await chmod(temporary, mode)
    await rename(temporary, path)
  }
  return { verb: 'write', what: `${path} (mode ${octal(mode)})`, run }
}

/** Missing parents get mode 0755 whatever the umask is: a package keeps the modes of its staging directory. */
async function makeParents(path: string): Promise<void> {
  const first = await mkdir(dirname(path), { recursive: true })
  if (first === undefined) return
  for (let dir = dirname(path); dir.length >= first.length; dir = dirname(dir)) await chmod(dir, 0o755)
}

/** Deletes a directory with everything in it. */
export async function planRemoval(path: string): Promise<Step[]> {
  return (await exists(path))
    ? [{ verb: 'delete', what: path, run: () => rm(path, { recursive: true, force: true }) }]
    : []
}

export async function planLinkRemoval(path: string): Promise<Step[]> {
  return (await exists(path)) ? [{ verb: 'delete', what: path, run: () => unlink(path) }] : []
}

/** Keeps a directory that holds other files. */
export async function planEmptyDirRemoval(path: string): Promise<Step[]> {
  const run = () =>
    rmdir(path).catch((error: unknown) => {
      if (systemCodeOf(error) !== 'ENOTEMPTY') throw error
    })
  return (await exists(path)) ? [{ verb: 'delete', what: `${path}, if it is empty`, run }] : []
}

export function planCommand(command: string, args: readonly string[], env: Environment): Step {
  const what = [command, ...args].join(' ')
  const run = () =>
    new Promise<void>((resolve, reject) => {
      execFile(command, [...args], { env: { ...commandEnvOf(env), LC_ALL: 'C' } }, (error, _stdout, stderr) => {
        if (error === null) resolve()
        else
          reject(
            new Complaint('refused', `The command "${what}" failed: ${stderr.trim() || error.message}`, {
              cause: error,
            }),
          )
      })
    })
  return { verb: 'run', what, run }
}

/** `systemctl --user` finds its service manager by the variable. */
const commandEnvOf = ({ PATH, XDG_RUNTIME_DIR }: Environment) => ({ PATH, XDG_RUNTIME_DIR })

/** `undefined` when there is no such file. @throws {Complaint} refused */
export async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return undefined
    throw new Complaint('refused', `Cannot read "${path}": ${reasonOf(error)}`, { cause: error })
  }
}

export async function exists(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => undefined)) !== undefined
}

const octal = (mode: number) => mode.toString(8).padStart(4, '0')
