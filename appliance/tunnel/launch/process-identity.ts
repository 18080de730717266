/**
 * Is a process number still that process? They are reused; the start time of a process distinguishes one from the
 * next. Linux: field 22 of /proc/PID/stat (proc_pid_stat(5)), clock ticks since boot; elsewhere `ps -o lstart=`, to the
 * second.
 */
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'

export interface ProcessTable {
  /** When it began, as text to be compared; `undefined` when there is no such process, or it is unknown. */
  findStartTime(pid: number): Promise<string | undefined>
  /** Its command line, arguments apart by a space or a NUL. */
  findCommandLine(pid: number): Promise<string | undefined>
}

/** @param procDir where process information is, if the system has it: `/proc` */
export async function openProcessTable(procDir = '/proc'): Promise<ProcessTable> {
  const hasProc = (await readText(`${procDir}/self/stat`)) !== undefined
  return hasProc
    ? {
        findStartTime: async (pid) => parseStartTime(await readText(`${procDir}/${pid}/stat`)),
        findCommandLine: (pid) => readText(`${procDir}/${pid}/cmdline`),
      }
    : { findStartTime: (pid) => askPs('lstart=', pid), findCommandLine: (pid) => askPs('command=', pid) }
}

/**
 * `4711 (a (strange) name) S 1 …`: the name may hold anything, so fields are counted from its last parenthesis. A
 * zombie has ended: it only was not fetched yet.
 */
export function parseStartTime(stat: string | undefined): string | undefined {
  if (stat === undefined) return undefined
  // The state is field 3, so field 22 is the 20th from there.
  const fields = stat
    .slice(stat.lastIndexOf(')') + 1)
    .trim()
    .split(' ')
  const startTime = fields[19]
  return fields[0] === 'Z' || fields[0] === 'X' || startTime === undefined || !/^\d+$/.test(startTime)
    ? undefined
    : startTime
}

async function readText(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8')
  } catch {
    return undefined
  }
}

function askPs(column: string, pid: number): Promise<string | undefined> {
  // Language and time zone change how it writes a time.
  const env = { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC0' }
  return new Promise((resolve) => {
    execFile(
      'ps',
      ['-ww', '-o', column, '-p', String(pid)],
      { env, timeout: 10_000, killSignal: 'SIGKILL' },
      (error, stdout) => {
        const text = stdout.trim()
        resolve(error !== null || text === '' ? undefined : text)
      },
    )
  })
}
