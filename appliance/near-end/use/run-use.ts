/** Carries out the plan of `burrow use`. */
import type { Machine } from '../../machine.ts'
import { formatStep, isChange, requireNoRefusal, runPlan, type Step } from '../../plan/plan.ts'

/** @throws {Complaint} */
export async function runUse(machine: Machine, steps: readonly Step[]): Promise<void> {
  requireNoRefusal(steps, 'set this up')
  await runPlan(steps, (step) => void machine.stdout.write(formatStep(step)))
  if (steps.some(isChange))
    machine.stdout.write('If this machine has a nix-daemon, restart it: systemctl restart nix-daemon\n')
}
