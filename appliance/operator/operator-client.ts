/** Asks the operator listener of a running Burrow for its status, and detects other programs on that address. */
import { formatListenAddress, type ListenAddress } from '../config/listen-address.ts'
import { isListenerAbsent } from '../server/connect-errors.ts'
import { type HttpFailure, httpGet } from '../server/http-get.ts'
import { printable } from '../terminal/format.ts'
import { reportSchema, type StatusReport } from './status.ts'

export type OperatorAnswer =
  | { readonly kind: 'running'; readonly report: StatusReport }
  /** Nothing listens there. */
  | { readonly kind: 'silent'; readonly why: string }
  /** Something may listen there, but it cannot be asked. */
  | { readonly kind: 'unreachable'; readonly why: string; readonly remedy: string }
  /** Another program answers. */
  | { readonly kind: 'foreign'; readonly why: string; readonly remedy: string }

/** Burrow on the same machine answers in milliseconds, but a machine under load may need longer. */
const defaultTimeoutMs = 3000
/** Enough for a few thousand users. */
const maxReportBytes = 4 * 1024 * 1024

/** Never rejects. */
export async function askOperator(address: ListenAddress, timeoutMs = defaultTimeoutMs): Promise<OperatorAnswer> {
  const url = new URL(
    address.kind === 'unix' ? 'http://localhost/status' : `http://${formatListenAddress(address)}/status`,
  )
  const outcome = await httpGet(url, {
    ...(address.kind === 'unix' ? { socketPath: address.path } : {}),
    timeoutMs,
    maxBytes: maxReportBytes,
  })
  if (outcome.kind === 'failure') return toAnswer(outcome)
  const { status, body, isWhole } = outcome
  if (status === 503 && body.toString() === 'starting\n')
    return { kind: 'unreachable', why: 'Burrow is still starting', remedy: 'ask again in a moment' }
  if (status !== 200) return foreign(`something answers there with status ${status}`)
  if (!isWhole) return foreign('something answers there with an endless reply')
  const report = parseReport(body.toString())
  return report === undefined
    ? foreign('something answers there that is not the status of a Burrow')
    : { kind: 'running', report }
}

function toAnswer({ code, message }: HttpFailure): OperatorAnswer {
  if (isListenerAbsent(code)) return { kind: 'silent', why: 'nothing listens there' }
  if (code === 'EACCES' || code === 'EPERM')
    return {
      kind: 'unreachable',
      why: 'this user may not connect there',
      remedy: 'run this as the user that runs Burrow, or as root',
    }
  if (code === 'TIMEOUT')
    return { kind: 'unreachable', why: message, remedy: 'check its log, and restart it if it hangs' }
  return foreign(`something answers there, but not in HTTP (${printable(code)})`)
}

const foreign = (why: string): OperatorAnswer => ({
  kind: 'foreign',
  why,
  remedy: 'set "operator" to an address of its own, and restart Burrow if it is another version',
})

function parseReport(text: string): StatusReport | undefined {
  try {
    return reportSchema.safeParse(JSON.parse(text)).data
  } catch {
    return undefined
  }
}
