/**
 * What a command is going to change, as steps that are known before the first one runs. A dry run prints the plan and
 * stops; a question is asked between the plan and its first step:
 *   create   tunnel   "burrow-cache.example.org", managed at Cloudflare
 *   write    /etc/systemd/system/burrow.service (mode 0644)
 */
import { Complaint, reasonOf, systemCodeOf } from '../complaint.ts'

/**
 * `keep`, `leave` and `note` change nothing. `by-hand`: the user has to do it. `refuse`: the plan cannot be carried out,
 * and `what` says why.
 */
export type Verb =
  | 'create'
  | 'write'
  | 'adopt'
  | 'change'
  | 'delete'
  | 'run'
  | 'keep'
  | 'leave'
  | 'note'
  | 'by-hand'
  | 'refuse'

export interface Step {
  readonly verb: Verb
  /** What the step is about, for plans whose steps are known by a word: `tunnel`, `record`. */
  readonly part?: string
  readonly what: string
  /** `undefined` when there is nothing to do. Rejects with a Complaint or with an error of the system. */
  readonly run?: () => Promise<void>
}

export const isChange = ({ verb }: Step) => verb !== 'keep' && verb !== 'leave' && verb !== 'note'

export function formatStep({ verb, part, what }: Step): string {
  return `  ${verb.padEnd(8)} ${part === undefined ? '' : `${part.padEnd(8)} `}${what}\n`
}

export const formatPlan = (steps: readonly Step[]) => steps.map(formatStep).join('')

/** One line for each thing that is left to the user. */
export function formatByHand(steps: readonly Step[]): string {
  return steps
    .filter(({ verb }) => verb === 'by-hand')
    .map(({ what }) => `\nTo do by hand: ${what}\n`)
    .join('')
}

/** @throws {Complaint} refused: a step cannot be carried out, so none is */
export function requireNoRefusal(steps: readonly Step[], action: string): void {
  const reasons = steps.filter(({ verb }) => verb === 'refuse').map(({ what }) => what)
  if (reasons.length > 0) throw new Complaint('refused', `Cannot ${action}: ${reasons.join('; ')}. Nothing was changed`)
}

/** `create tunnel`, `write /etc/burrow/burrow.json (mode 0644)` */
export const nameOf = ({ verb, part, what }: Step) => `${verb} ${part ?? what}`

/**
 * Runs the steps in order, and calls `onStart` before each. The first failure ends the plan; its message lists what was
 * done and what was not.
 * @throws {Complaint}
 */
export async function runPlan<S extends Step>(steps: readonly S[], onStart: (step: S) => void): Promise<void> {
  for (const [index, step] of steps.entries()) {
    onStart(step)
    try {
      await step.run?.()
    } catch (error) {
      const complaint = toComplaint(step, error)
      throw new Complaint(complaint.code, `${complaint.message}\n${describeProgress(steps, index)}`, { cause: error })
    }
  }
}

/** A bug stays what it is. */
function toComplaint({ verb, what }: Step, error: unknown): Complaint {
  if (error instanceof Complaint) return error
  if (systemCodeOf(error) === undefined) throw error
  return new Complaint('refused', `Cannot ${verb} ${what}: ${reasonOf(error)}`, { cause: error })
}

function describeProgress(steps: readonly Step[], failed: number): string {
  const list = (some: readonly Step[]) =>
    some
      .filter(({ run }) => run !== undefined)
      .map(nameOf)
      .join(', ')
  const done = list(steps.slice(0, failed)) || 'nothing'
  return `Done: ${done}. Not done: ${list(steps.slice(failed))}. Run the same command again to continue.`
}
