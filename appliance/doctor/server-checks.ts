/** Checks of the running Burrow and its tunnel (through the operator listener), and of the origin on this machine. */
import type { Config } from '../config/config.ts'
import { formatListenAddress, type ListenAddress, parseListenAddress } from '../config/listen-address.ts'
import { askOperator } from '../operator/operator-client.ts'
import type { StatusReport } from '../operator/status.ts'
import { formatTunnelState, gradeOf } from '../operator/tunnel-states.ts'
import { formatSpan } from '../terminal/format.ts'
import { type Ask, createAsk, type Deadline, findStoreDir, type Login } from './asking.ts'
import { type Findings, fail, ok, warn } from './finding.ts'
import { realmOf } from './foreign-reply.ts'
import { textOf } from './reply-text.ts'

export async function* checkServer({ operator, file }: Config, version: string): Findings<StatusReport | undefined> {
  if (operator === undefined) {
    yield warn(
      'server',
      '"operator" is null in the config, so the running Burrow cannot report its status',
      'remove that setting, and restart Burrow',
    )
    return undefined
  }
  const answer = await askOperator(operator.address)
  const place = `"${formatListenAddress(operator.address)}"`
  if (answer.kind !== 'running') {
    if (answer.kind === 'silent')
      yield fail('server', `Burrow is not running: nothing listens on ${place}`, 'start it with "burrow serve"')
    else yield fail('server', `cannot get the status of Burrow from ${place}: ${answer.why}`, answer.remedy)
    return undefined
  }
  const { report } = answer
  const { impediment, isDraining } = report.origin
  if (isDraining) yield warn('server', `Burrow is stopping (pid ${report.pid})`)
  else if (impediment !== null) yield fail('server', `Burrow runs (pid ${report.pid}), but cannot serve: ${impediment}`)
  else
    yield ok(
      'server',
      `Burrow ${report.version} has been running for ${formatSpan(Date.parse(report.now) - Date.parse(report.startedAt))} (pid ${report.pid})`,
    )
  if (report.config !== (file ?? null))
    yield warn(
      'server',
      `the running Burrow uses config "${report.config ?? 'none'}", not this one`,
      'select that one with --config',
    )
  if (report.version !== version)
    yield warn('server', `Burrow ${report.version} is running, but ${version} is installed`, 'restart it')
  return report
}

export async function* checkTunnel({ tunnel: wanted }: Config, { tunnel, now }: StatusReport): Findings {
  const { reason, remedy, lastError } = tunnel
  if (tunnel.state === 'off') {
    if (wanted === undefined) return yield ok('tunnel', 'not configured: the cache is only reachable on this machine')
    return yield wanted.isOptional
      ? warn('tunnel', `off: ${reason}`, remedy ?? undefined)
      : fail('tunnel', `off: ${reason}`, remedy ?? 'restart Burrow')
  }
  const words = `${formatTunnelState(tunnel)} for ${formatSpan(Date.parse(now) - Date.parse(tunnel.since))}`
  const grade = gradeOf(tunnel.state)
  if (tunnel.isStopping) return yield warn('tunnel', words, 'Burrow is stopping; start it again')
  if (grade === 'ok') return yield ok('tunnel', words)
  const last = lastError === null || reason.includes(lastError) ? '' : ` (last error: ${lastError})`
  yield {
    grade,
    check: 'tunnel',
    what: `${words}: ${reason}${last}`,
    remedy: remedy ?? (grade === 'warn' ? 'wait a minute, and try again' : 'check the log'),
  }
}

export interface OriginOptions {
  readonly config: Config
  readonly report: StatusReport | undefined
  readonly login: Login | undefined
  readonly deadline: Deadline
}

/** Returns how to send requests to the origin; `undefined` if a check of it failed. */
export async function* checkOrigin({ config, report, login, deadline }: OriginOptions): Findings<Ask | undefined> {
  const address = (report && addressOf(report.origin.url)) ?? config.listen
  const place = formatListenAddress(address)
  const ask = askAt(address, deadline)
  const anonymous = await ask('/nix-cache-info')
  if (anonymous.kind === 'failure') {
    // If Burrow does not run, checkServer has reported it.
    if (report !== undefined)
      yield fail(
        'origin',
        `"${place}" does not answer (${anonymous.code}: ${anonymous.message})`,
        'check the log; restart Burrow',
      )
    return undefined
  }
  const isPublic = config.access.kind === 'public'
  const isAsWanted = isPublic
    ? anonymous.status === 200 && findStoreDir(anonymous) !== undefined
    : anonymous.status === 401 && realmOf(anonymous.headers) === 'burrow'
  if (!isAsWanted) {
    const what = `"${place}" answers ${anonymous.status} without a password instead of ${isPublic ? 'serving' : 'asking for one'}`
    yield fail('origin', what, 'check that no other program listens there; if the config has changed, restart Burrow')
    return undefined
  }
  // Another program may have taken the port; it must not get a password.
  if (report === undefined && config.operator !== undefined) {
    const what = `"${place}" answers like Burrow, but the operator listener does not confirm it: no password was sent`
    yield warn('origin', what, 'check which program listens there')
    return undefined
  }
  if (login === undefined) {
    yield ok('origin', `${place} answers${isPublic ? '' : ', and asks for a password'}`)
    return isPublic ? ask : undefined
  }
  return yield* checkLogin(config, place, ask, login)
}

async function* checkLogin({ store }: Config, place: string, ask: Ask, login: Login): Findings<Ask | undefined> {
  const reply = await ask('/nix-cache-info', { login })
  if (reply.kind === 'failure')
    yield fail('origin', `"${place}" does not answer (${reply.code}: ${reply.message})`, 'check the log')
  else if (reply.status === 401)
    yield fail(
      'origin',
      `"${place}" refuses the password of "${login.name}"`,
      'if users have changed, reload Burrow (systemctl reload burrow); if a password file has changed, restart it (systemctl restart burrow): systemd gives the service a copy',
    )
  else if (reply.status !== 200)
    yield fail(
      'origin',
      `"${place}" answers ${reply.status} (${textOf(reply).trim().slice(0, 60)})`,
      'check "burrow status" and the log',
    )
  else if (findStoreDir(reply) !== store.dir)
    yield fail(
      'origin',
      `"${place}" does not serve ${store.dir}`,
      'check that no other program listens there; restart Burrow',
    )
  else {
    yield ok('origin', `${place} accepts the login of "${login.name}", and answers 401 without one`)
    return ask
  }
  return undefined
}

function addressOf(url: string): ListenAddress | undefined {
  const parsed = parseListenAddress(url.replace(/^http:\/\//, ''))
  return 'refusal' in parsed ? undefined : parsed
}

function askAt(address: ListenAddress, deadline: Deadline): Ask {
  return address.kind === 'unix'
    ? createAsk('http://localhost', deadline, address.path)
    : createAsk(`http://${formatListenAddress(address)}`, deadline)
}
