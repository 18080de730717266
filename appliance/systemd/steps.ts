/**
 * What an installation does, as steps that are known before the first is taken: told and left undone by --dry-run, told
 * and done otherwise. What is as it should be is told as kept.
 */
import { execFile } from 'node:child_process'
import { chmod, lstat, mkdir, readFile, rename, rm, rmdir, unlink, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'

import { Complaint, reasonOf, systemCodeOf } from '../complaint.ts'
import type { Environment } from '../machine.ts'

export interface Step {
  readonly verb: 'make' | 'write' | 'keep' | 'remove' | 'run' | 'note'
  readonly what: string
  /** `undefined` where there is nothing to do. */
  readonly perform?: () => Promise<void>
}

export const isChange = ({ verb }: Step) => verb !== 'keep' && verb !== 'note'

export async function makeDir(path: string, mode: number): Promise<Step> {
  if (await exists(path)) return { verb: 'keep', what: path }
  const perform = async () => {
    await makeParents(path)
    await mkdir(path)
    // Not left to the umask, which is 077.
    await chmod(path, mode)
  }
  return { verb: 'make', what: `${path} (mode ${octal(mode)})`, perform }
}

/** Replaces what the file held; a file that holds just that is kept. */
export async function writeText(path: string, text: string, mode: number): Promise<Step> {
  if ((await readText(path)) === text) return { verb: 'keep', what: path }
  const perform = async () => {
    await makeParents(path)
    const temporary = `${path}.tmp`
    await rm(temporary, { force: true })
    await writeFile(temporary, text, { flag: 'wx', mode: 0o600, flush: true })
    await chmod(temporary, mode)
    await rename(temporary, path)
  }
  return { verb: 'write', what: `${path} (mode ${octal(mode)})`, perform }
}

/**
 * Those that are missing, for everybody to enter, whatever the umask: a package keeps the modes of its staging
 * directory.
 */
async function makeParents(path: string): Promise<void> {
  const first = await mkdir(dirname(path), { recursive: true })
  if (first === undefined) return
  for (let dir = dirname(path); dir.length >= first.length; dir = dirname(dir)) await chmod(dir, 0o755)
}

/** A directory goes with all that is in it. */
export async function remove(path: string): Promise<Step[]> {
  return (await exists(path))
    ? [{ verb: 'remove', what: path, perform: () => rm(path, { recursive: true, force: true }) }]
    : []
}

export async function removeLink(path: string): Promise<Step[]> {
  return (await exists(path)) ? [{ verb: 'remove', what: path, perform: () => unlink(path) }] : []
}

/** When nobody else has put something there. */
export async function removeEmptyDir(path: string): Promise<Step[]> {
  const perform = () =>
    rmdir(path).catch((error: unknown) => {
      if (systemCodeOf(error) !== 'ENOTEMPTY') throw error
    })
  return (await exists(path)) ? [{ verb: 'remove', what: `${path}, if it is empty`, perform }] : []
}

export function run(command: string, args: readonly string[], env: Environment): Step {
  const what = [command, ...args].join(' ')
  const perform = () =>
    new Promise<void>((resolve, reject) => {
      execFile(command, [...args], { env: { PATH: env.PATH, LC_ALL: 'C' } }, (error, _stdout, stderr) => {
        if (error === null) resolve()
        else
          reject(
            new Complaint('refused', `Cannot go on: "${what}" failed: ${stderr.trim() || error.message}`, {
              cause: error,
            }),
          )
      })
    })
  return { verb: 'run', what, perform }
}

/** Tells each, and takes it unless `isDry`. @throws {Complaint} refused */
export async function take(steps: readonly Step[], isDry: boolean, tell: (line: string) => void): Promise<void> {
  for (const { verb, what, perform } of steps) {
    tell(`${isDry && perform !== undefined ? `would ${verb}` : verb} ${what}`)
    if (isDry) continue
    try {
      await perform?.()
    } catch (error) {
      if (error instanceof Complaint || systemCodeOf(error) === undefined) throw error
      throw new Complaint('refused', `Cannot ${verb} ${what}: ${reasonOf(error)}`, { cause: error })
    }
  }
}

/** `undefined` when there is none. */
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
