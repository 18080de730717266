/** The running Burrow as its operator listener tells, its tunnel, and whether its origin answers on this machine. */
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
      '"operator" is null in the config, so the running Burrow cannot be asked',
      'remove that setting, and restart Burrow',
    )
    return undefined
  }
  const answer = await askOperator(operator.address)
  const place = `"${formatListenAddress(operator.address)}"`
  if (answer.kind !== 'running') {
    if (answer.kind === 'silent')
      yield fail('server', `Burrow is not running: nothing listens on ${place}`, 'start it with "burrow serve"')
    else yield fail('server', `cannot ask Burrow on ${place}: ${answer.why}`, answer.remedy)
    return undefined
  }
  const { report } = answer
  const { impediment, isDraining } = report.origin
  if (isDraining) yield warn('server', `Burrow is stopping (pid ${report.pid})`)
  else if (impediment !== null) yield fail('server', `Burrow runs (pid ${report.pid}) and cannot serve: ${impediment}`)
  else
    yield ok(
      'server',
      `Burrow ${report.version} serves since ${formatSpan(Date.parse(report.now) - Date.parse(report.startedAt))} (pid ${report.pid})`,
    )
  if (report.config !== (file ?? null))
    yield warn(
      'server',
      `the running Burrow uses config "${report.config ?? 'none'}", not this one`,
      'name that one with --config',
    )
  if (report.version !== version)
    yield warn('server', `Burrow ${report.version} runs, and ${version} is installed`, 'restart it')
  return report
}

export async function* checkTunnel({ tunnel: wanted }: Config, { tunnel, now }: StatusReport): Findings {
  const { reason, remedy, lastError } = tunnel
  if (tunnel.state === 'off') {
    if (wanted === undefined) return yield ok('tunnel', 'none is configured: this cache is for this machine only')
    return yield wanted.isOptional
      ? warn('tunnel', `off: ${reason}`, remedy ?? undefined)
      : fail('tunnel', `off: ${reason}`, remedy ?? 'restart Burrow')
  }
  const words = `${formatTunnelState(tunnel)} for ${formatSpan(Date.parse(now) - Date.parse(tunnel.since))}`
  const grade = gradeOf(tunnel.state)
  if (tunnel.isStopping) return yield warn('tunnel', words, 'Burrow is on its way out; start it again')
  if (grade === 'ok') return yield ok('tunnel', words)
  const last = lastError === null || reason.includes(lastError) ? '' : ` (last error: ${lastError})`
  yield {
    grade,
    check: 'tunnel',
    what: `${words}: ${reason}${last}`,
    remedy: remedy ?? (grade === 'warn' ? 'wait a minute, and ask again' : 'look at the log'),
  }
}

export interface OriginOptions {
  readonly config: Config
  readonly report: StatusReport | undefined
  readonly login: Login | undefined
  readonly deadline: Deadline
}

/** How to ask the origin on this machine; `undefined` when it is not what it should be. */
export async function* checkOrigin({ config, report, login, deadline }: OriginOptions): Findings<Ask | undefined> {
  const address = (report && addressOf(report.origin.url)) ?? config.listen
  const place = formatListenAddress(address)
  const ask = askAt(address, deadline)
  const anonymous = await ask('/nix-cache-info')
  if (anonymous.kind === 'failure') {
    // A Burrow that does not run was told of before.
    if (report !== undefined)
      yield fail(
        'origin',
        `"${place}" does not answer (${anonymous.code}: ${anonymous.message})`,
        'look at the log; restart Burrow',
      )
    return undefined
  }
  const isPublic = config.access.kind === 'public'
  const isAsWanted = isPublic
    ? anonymous.status === 200 && findStoreDir(anonymous) !== undefined
    : anonymous.status === 401 && realmOf(anonymous.headers) === 'burrow'
  if (!isAsWanted) {
    const what = `"${place}" answers ${anonymous.status} without a password instead of ${isPublic ? 'serving' : 'asking for one'}`
    yield fail('origin', what, 'see that no other program listens there; if the config has changed, restart Burrow')
    return undefined
  }
  // Whoever listens on that port without being the Burrow that was asked gets no password.
  if (report === undefined && config.operator !== undefined) {
    const what = `"${place}" answers like Burrow, and the operator listener does not confirm that it is: no password was tried there`
    yield warn('origin', what, 'see who listens there')
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
    yield fail('origin', `"${place}" does not answer (${reply.code}: ${reply.message})`, 'look at the log')
  else if (reply.status === 401)
    yield fail(
      'origin',
      `"${place}" refuses the password of "${login.name}"`,
      'if users have changed, reload Burrow (systemctl reload burrow); if a password file has changed, restart it (systemctl restart burrow): a service has a copy of it',
    )
  else if (reply.status !== 200)
    yield fail(
      'origin',
      `"${place}" answers ${reply.status} (${textOf(reply).trim().slice(0, 60)})`,
      'look at "burrow status" and the log',
    )
  else if (findStoreDir(reply) !== store.dir)
    yield fail(
      'origin',
      `"${place}" does not serve ${store.dir}`,
      'see that no other program listens there; restart Burrow',
    )
  else {
    yield ok('origin', `${place} answers "${login.name}", and strangers with 401`)
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
