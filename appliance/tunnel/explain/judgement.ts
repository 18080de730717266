/** Derives the state of a running connector from what is known about it. A pure function; its test is a table. */

import { coversName, parsePublicName } from '../public-name.ts'
import type { TunnelSettings } from '../settings.ts'
import type { TunnelState } from '../tunnel.ts'
import type { Ingress } from '../watch/readiness.ts'
import { explainProblem } from './connector-problems.ts'
import type { ConnectorProblem } from './news.ts'

export interface Facts {
  /** As of its last response. */
  readonly connections: number
  /** The highest number so far. */
  readonly best: number
  /** It has had fewer than that for longer than a reconnection takes. */
  readonly isShort: boolean
  /** Consecutive requests without a response. */
  readonly misses: number
  /** The last problem since a connection was last registered, and how many there were. */
  readonly problem: ConnectorProblem | undefined
  readonly complaints: number
  /** The edge refuses a further login while older connections live on. */
  readonly refusedLogin: ConnectorProblem | undefined
  readonly ingress: Ingress | undefined
}

/** Of a connector that was just started. */
export const noFacts: Facts = {
  connections: 0,
  best: 0,
  isShort: false,
  misses: 0,
  problem: undefined,
  complaints: 0,
  refusedLogin: undefined,
  ingress: undefined,
}

export interface Judgement {
  readonly state: Extract<TunnelState, 'starting' | 'connected' | 'degraded' | 'reconnecting'>
  readonly reason: string
  readonly remedy: string | undefined
}

export type Wanted = Pick<TunnelSettings, 'mode' | 'protocol' | 'extraArgs' | 'hostname'>

/** A single late response is normal on a busy machine. */
const missesOfNote = 3
/** One or two attempts fail while a network comes up. */
const complaintsOfNote = 3

export function judge(facts: Facts, wanted: Wanted): Judgement {
  const { connections, best, misses } = facts
  if (connections === 0) return judgeUnconnected(facts, wanted)
  if (misses >= missesOfNote)
    return { state: 'degraded', reason: `cloudflared does not answer: ${misses} times in a row`, remedy: undefined }
  if (facts.refusedLogin !== undefined) {
    const { reason, remedy } = explainProblem(facts.refusedLogin, wanted)
    return {
      state: 'degraded',
      reason: `${reason}; ${countOf(connections)} made earlier still work, but a lost connection is not re-established`,
      remedy,
    }
  }
  const unnamed = findUnnamed(facts.ingress, wanted)
  if (unnamed !== undefined) {
    const remedy = `add a public hostname for ${unnamed} to the tunnel in the Cloudflare dashboard, with this origin as its service; or change "hostname"`
    return { state: 'degraded', reason: `no ingress rule of the tunnel at Cloudflare is for ${unnamed}`, remedy }
  }
  if (facts.isShort) {
    const why = facts.problem === undefined ? '' : `: ${facts.problem.cause}`
    return {
      state: 'degraded',
      reason: `${connections} of ${countOf(best)} to the edge are up${why}`,
      remedy: undefined,
    }
  }
  return { state: 'connected', reason: `${countOf(connections)} to the edge`, remedy: undefined }
}

function judgeUnconnected({ best, misses, problem, complaints }: Facts, wanted: Wanted): Judgement {
  const state = best > 0 ? 'reconnecting' : 'starting'
  const doing =
    best > 0
      ? 'all connections to the edge are lost, and cloudflared is reconnecting'
      : 'cloudflared is connecting to the edge'
  if (misses >= missesOfNote)
    return { state, reason: `${doing}; it does not answer: ${misses} times in a row`, remedy: undefined }
  if (problem === undefined) return { state, reason: doing, remedy: undefined }
  const { reason, remedy } = explainProblem(problem, wanted)
  return {
    state,
    reason: best > 0 ? `${doing}: ${reason}` : reason,
    remedy: complaints >= complaintsOfNote || !isPassing(problem) ? remedy : undefined,
  }
}

function isPassing({ kind }: ConnectorProblem): boolean {
  return kind === 'unreachable' || kind === 'closed'
}

/** The configured hostname, if the edge has ingress rules for this tunnel but none for that name. */
function findUnnamed(ingress: Ingress | undefined, { hostname }: Wanted): string | undefined {
  if (hostname === undefined || ingress === undefined || ingress.version < 0) return undefined
  return ingress.hostnames.some((pattern) => coversName(pattern, hostname)) ? undefined : hostname
}

/** The first rule with a hostname: which rule points to this origin is not known here. */
export function hostnameOf(ingress: Ingress): string | undefined {
  return ingress.hostnames.map(parsePublicName).find((name) => name !== undefined)
}

function countOf(connections: number): string {
  return connections === 1 ? '1 connection' : `${connections} connections`
}
