/**
 * A step of "burrow tunnel setup" or "teardown". Each stands for one thing that the public host name needs; "status"
 * looks at the same steps for what has drifted.
 */
import type { Step } from '../plan/plan.ts'
import type { CloudflareApi } from './api.ts'
import { type SetupRecord, writeSetupRecord } from './setup-record.ts'
import type { Survey } from './survey.ts'

export type Part = 'tunnel' | 'ingress' | 'record' | 'rule' | 'token' | 'config'

export interface SetupStep extends Step {
  readonly part: Part
  /** How it differs from what was set up; `undefined` when it does not. */
  readonly drift?: string
  /** What repairs the drift, when "burrow tunnel setup" alone does not. */
  readonly remedy?: string
}

/** What one step finds out and a later one needs, and the record, which is saved after each step. */
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
  /** DNS records for the host name that Burrow did not make may be replaced. */
  readonly mayReplaceRecord: boolean
  readonly progress: Progress
}

export function requireTunnelId({ tunnelId }: Progress): string {
  if (tunnelId === undefined) throw new Error('the tunnel comes first')
  return tunnelId
}

/** From what is there, and what earlier runs recorded. Nothing is written yet. */
export function startProgress({ hostname, zone, made, tunnel }: Survey, stateDir: string): Progress {
  const progress: Progress = {
    tunnelId: tunnel?.id,
    record: structuredClone(made) ?? {
      version: 1,
      hostname,
      account: { ...zone.account },
      zone: { id: zone.id, name: zone.name },
    },
    save: () => writeSetupRecord(stateDir, progress.record),
  }
  return progress
}
