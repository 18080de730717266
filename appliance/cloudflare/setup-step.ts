/**
 * A step of "burrow tunnel setup" or "teardown". Each step concerns one part that the public host name needs; "status"
 * uses the same steps to find differences.
 */
import type { Step } from '../plan/plan.ts'
import type { CloudflareApi } from './api.ts'
import { type SetupRecord, writeSetupRecord } from './setup-record.ts'
import type { Survey } from './survey.ts'

export type Part = 'tunnel' | 'ingress' | 'record' | 'rule' | 'token' | 'config'

export interface SetupStep extends Step {
  readonly part: Part
  /** How it differs from what was set up; `undefined` if it does not. */
  readonly drift?: string
  /** How to repair the difference, if "burrow tunnel setup" alone is not enough. */
  readonly remedy?: string
}

/** Results that later steps need, and the record, which is saved after each step. */
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

/** From the survey and the record of earlier runs. Writes nothing. */
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
