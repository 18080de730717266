/** Asks a running Burrow for its usage figures: `/usage` of the operator's listener. */
import type { UsageSummary } from '../../src/index.ts'
import { Complaint } from '../complaint.ts'
import { formatListenAddress, type ListenAddress } from '../config/listen-address.ts'
import { isListenerAbsent } from '../server/connect-errors.ts'
import { httpGet } from '../server/http-get.ts'
import { printable } from '../terminal/format.ts'
import { parseJson } from './parse-json.ts'

/** A page of 400 days is some 200 KB. */
const maxBytes = 8 * 1024 * 1024
const timeoutMs = 30_000

/** `undefined` if nothing listens there. @throws {Complaint} refused */
export async function askUsage(
  address: ListenAddress,
  { days, user }: { readonly days: number; readonly user: string | undefined },
): Promise<UsageSummary | undefined> {
  const where = formatListenAddress(address)
  const query = new URLSearchParams({ days: String(days), ...(user !== undefined && { user }) })
  const url = new URL(`/usage?${query}`, address.kind === 'unix' ? 'http://localhost' : `http://${where}`)
  const outcome = await httpGet(url, {
    ...(address.kind === 'unix' && { socketPath: address.path }),
    timeoutMs,
    maxBytes,
  })
  if (outcome.kind === 'failure') {
    const { code, message } = outcome
    if (isListenerAbsent(code)) return undefined
    const why =
      code === 'EACCES' || code === 'EPERM'
        ? 'this user may not connect there. Run this as the user that runs Burrow, or as root'
        : message
    throw new Complaint('refused', `Cannot ask Burrow at ${where}: ${printable(why)}`)
  }
  const { status, body, isWhole } = outcome
  const value = isWhole ? parseJson(body.toString('utf8')) : undefined
  if (status === 200 && isSummary(value)) return value
  const told = (value as { readonly error?: unknown } | undefined)?.error
  if (typeof told === 'string') throw new Complaint('refused', printable(told))
  throw new Complaint(
    'refused',
    `Cannot ask Burrow at ${where}: HTTP ${status}. Restart Burrow if it is an older version, or give "operator" an address of its own`,
  )
}

function isSummary(value: unknown): value is UsageSummary {
  return typeof value === 'object' && value !== null && Array.isArray((value as UsageSummary).days)
}
