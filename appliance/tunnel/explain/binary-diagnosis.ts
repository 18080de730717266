/** Explains why there is no cloudflared that can be started: a reason, a remedy for the operator, and the retry interval. */
import type { Unexecutable } from '../find/executable.ts'
import { brokenHere, type EndDiagnosis } from './connector-problems.ts'

export const noBinary: EndDiagnosis = {
  state: 'missing-binary',
  pace: 'soon',
  reason: 'cloudflared was not found: neither at the path in "binary", nor on PATH, nor installed by Burrow',
  remedy: 'run "burrow tunnel install", or install cloudflared. Burrow looks for it every 30 s',
}

export function explainUnexecutable(kind: Unexecutable, file: string): EndDiagnosis {
  const what = JSON.stringify(file)
  if (kind === 'absent') {
    return {
      state: 'missing-binary',
      pace: 'soon',
      reason: `there is no ${what}`,
      remedy: 'run "burrow tunnel install", or install cloudflared. Burrow keeps looking for it',
    }
  }
  if (kind === 'forbidden') {
    return brokenHere(
      `this user may not execute ${what}`,
      `run "chmod a+rx ${file}", and check that its directory is accessible and not mounted noexec`,
    )
  }
  return brokenHere(
    `${what} is not an executable for this machine`,
    'run "burrow tunnel install", or install the cloudflared build for this CPU architecture',
  )
}
