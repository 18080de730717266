/**
 * One thing that must be so for a public host name to lead here: what is, what is to be, and how it becomes so. Setting
 * up and looking for drift share it.
 */
import { Complaint } from '../complaint.ts'
import type { CloudflareApi } from './api.ts'
import type { SetupRecord } from './setup-record.ts'

export type Part = 'tunnel' | 'ingress' | 'record' | 'rule' | 'token' | 'config'

/** `by-hand`: it cannot be done from here, and is told. */
export type Verb = 'create' | 'adopt' | 'change' | 'delete' | 'keep' | 'leave' | 'by-hand' | 'refuse'

export interface Step {
  readonly part: Part
  readonly verb: Verb
  /** For the plan; of a `refuse`, why. */
  readonly what: string
  /** How it differs from what was set up; `undefined` when it does not. */
  readonly drift?: string
  /** What mends the drift, where it is not the set-up alone. */
  readonly remedy?: string
  /** @throws {Complaint} */
  apply?(progress: Progress): Promise<void>
}

/** What a step finds out and a later one needs, and the record that is on disk after each. */
export interface Progress {
  tunnelId: string | undefined
  record: SetupRecord
  /** Writes `record`. */
  save(): Promise<void>
}

export interface StepOptions {
  readonly api: CloudflareApi
  readonly stateDir: string
  readonly userId: number | undefined
  /** Records of others for the host name may go. */
  readonly mayReplaceRecord: boolean
}

export function requireTunnelId({ tunnelId }: Progress): string {
  if (tunnelId === undefined) throw new Error('the tunnel comes first')
  return tunnelId
}

export const isChange = ({ verb }: Step) => verb !== 'keep' && verb !== 'leave'

export function formatPlan(steps: readonly Step[]): string {
  return steps.map(({ verb, part, what }) => `  ${verb.padEnd(8)} ${part.padEnd(8)} ${what}\n`).join('')
}

/**
 * One after the other; `onDone` tells of each. The first that fails ends it, with what exists by then, what is missing
 * and how to go on.
 * @throws {Complaint}
 */
export async function applySteps(
  steps: readonly Step[],
  progress: Progress,
  onDone: (step: Step) => void,
): Promise<void> {
  const pending = steps.filter((step) => step.apply !== undefined)
  for (const [index, step] of pending.entries()) {
    try {
      await step.apply!(progress)
    } catch (error) {
      if (!(error instanceof Complaint)) throw error
      const name = ({ verb, part }: Step) => `${verb} ${part}`
      const done = pending.slice(0, index).map(name)
      const missing = pending.slice(index).map(name)
      const state = `Done: ${done.join(', ') || 'nothing'}. Not done: ${missing.join(', ')}.`
      throw new Complaint(error.code, `${error.message}\n${state} Run the same command again to go on from here.`, {
        cause: error,
      })
    }
    onDone(step)
  }
}
