/** What is known of a running connector, as a state in words. Pure, so that the whole table can be read in its test. */

import { coversName, parsePublicName } from '../public-name.ts'
import type { TunnelSettings } from '../settings.ts'
import type { TunnelState } from '../tunnel.ts'
import type { Ingress } from '../watch/readiness.ts'
import { explainProblem } from './connector-problems.ts'
import type { ConnectorProblem } from './news.ts'

export interface Facts {
  /** By its last answer. */
  readonly connections: number
  /** Most that it had. */
  readonly best: number
  /** It has had fewer than its best for longer than a redial takes. */
  readonly isShort: boolean
  /** Questions in a row that it did not answer. */
  readonly misses: number
  /** The last problem since a connection was last registered, and how many there were. */
  readonly problem: ConnectorProblem | undefined
  readonly complaints: number
  /** The edge refuses a further login while older connections live on. */
  readonly refusedLogin: ConnectorProblem | undefined
  readonly ingress: Ingress | undefined
}

export interface Judgement {
  readonly state: Extract<TunnelState, 'starting' | 'connected' | 'degraded' | 'reconnecting'>
  readonly reason: string
  readonly remedy: string | undefined
}

export type Wanted = Pick<TunnelSettings, 'mode' | 'protocol' | 'extraArgs' | 'hostname'>

/** One late answer is nothing on a busy machine. */
export const missesOfNote = 3
/** A dial or two fail while a network comes up. */
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
      reason: `${reason}; ${countOf(connections)} made before still serve, and none that is lost comes back`,
      remedy,
    }
  }
  const unnamed = findUnnamed(facts.ingress, wanted)
  if (unnamed !== undefined) {
    const remedy = `add a public hostname for ${unnamed} to the tunnel in the Cloudflare dashboard, with this origin as its service; or change "hostname"`
    return { state: 'degraded', reason: `the tunnel's ingress rules at Cloudflare do not name ${unnamed}`, remedy }
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
    best > 0 ? 'all connections to the edge are lost, and cloudflared dials again' : 'cloudflared dials the edge'
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

/** The wanted hostname, when the edge has rules for this tunnel and none is for it. */
function findUnnamed(ingress: Ingress | undefined, { hostname }: Wanted): string | undefined {
  if (hostname === undefined || ingress === undefined || ingress.version < 0) return undefined
  return ingress.hostnames.some((pattern) => coversName(pattern, hostname)) ? undefined : hostname
}

/** Which rule leads to us cannot be told from here: the first that names a host. */
export function hostnameOf(ingress: Ingress): string | undefined {
  return ingress.hostnames.map(parsePublicName).find((name) => name !== undefined)
}

function countOf(connections: number): string {
  return connections === 1 ? '1 connection' : `${connections} connections`
}
