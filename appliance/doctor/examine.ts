/**
 * Runs all checks, from the config file to the client's end of the tunnel. Each group of checks returns what later ones
 * need.
 */
import type { Config } from '../config/config.ts'
import type { LoadedConfig } from '../config/load-config.ts'
import type { Machine } from '../machine.ts'
import type { StatusReport } from '../operator/status.ts'
import type { State } from '../state/state.ts'
import type { Binary } from '../tunnel/launch/launch.ts'
import { publicUrlOf } from '../tunnel/tunnel.ts'
import { type Clocks, createAsk, createDeadline, type Deadline, type Login } from './asking.ts'
import { checkBinary } from './binary-check.ts'
import { checkConfig, checkSecrets, checkStateDir, type Secrets } from './config-checks.ts'
import { type Findings, warn } from './finding.ts'
import { chooseLogin, type LoginOptions } from './login.ts'
import { checkClock, checkLarder, checkStore, watchClock } from './machine-checks.ts'
import { checkPublic } from './public-checks.ts'
import { checkPublished } from './publish-check.ts'
import { checkPush, checkUpstreams } from './push-checks.ts'
import { findSample } from './sample.ts'
import { checkOrigin, checkServer, checkTunnel } from './server-checks.ts'

export interface Examination extends LoginOptions {
  readonly machine: Machine
  /** The config file from `--config`. */
  readonly file: string | undefined
  /** Replaces the public URL from the config or the running Burrow. */
  readonly url: string | undefined
  readonly version: string
  /** Finds cloudflared as `serve` does. If left out, cloudflared is not checked. */
  readonly findBinary?: ((config: Config) => Promise<Binary | undefined>) | undefined
  readonly clocks: Clocks
  /** Time limit for all requests together. */
  readonly totalMs: number
}

/**
 * Problems of the installation are findings, not errors. @throws {Complaint} usage, refused: invalid command line
 * options
 */
export async function* examine(examination: Examination): Findings {
  const { machine, file, url, version, findBinary, clocks, totalMs } = examination
  const deadline = createDeadline(totalMs, clocks)
  const clock = watchClock(clocks)
  const loaded = yield* checkConfig({ machine, file })
  if (loaded === undefined) return yield* examineWithoutConfig(examination, deadline)
  const { config } = loaded
  const state = yield* checkStateDir(config, machine.userId)
  const secrets = yield* checkSecrets(loaded, state, clocks.now())
  const chosen = await chooseLogin(examination, secrets.users, clocks.now())
  yield* checkStore(config)
  const report = yield* checkServer(config, version)
  yield* checkPublished(config, report)
  yield* checkLarder(config, report?.larder?.bytes)
  yield* checkPush({ config, users: secrets.users, report, now: clocks.now() })
  yield* checkUpstreams({ config, report, deadline })
  if (config.tunnel !== undefined && findBinary !== undefined)
    yield* checkBinary(config.tunnel, () => findBinary(config), clocks.now())
  if (report !== undefined) yield* checkTunnel(config, report)
  const trusted = new LoginTargets(examination, config, report)
  const askOrigin = yield* checkOrigin({
    config,
    report,
    login: trusted.isOriginTrusted ? loginOf(chosen) : undefined,
    deadline,
  })
  const sample = askOrigin && (await findSample(config, askOrigin, loginOf(chosen)))

  const publicUrl = url ?? (yield* findPublicUrl(loaded, report, state))
  const askEdge = publicUrl === undefined ? undefined : createAsk(publicUrl, deadline)
  yield* checkClock(clocks, clock.findJumpMs(), askEdge)
  if (publicUrl === undefined || askEdge === undefined) return
  const login = trusted.isPublicUrlTrusted(publicUrl) ? chosen : trusted.refusal
  yield* checkPublic({ ...ofConfig(config, secrets, login), url: new URL(publicUrl), ask: askEdge, sample })
}

function loginOf(chosen: Login | { readonly missing: string }): Login | undefined {
  return 'missing' in chosen ? undefined : chosen
}

/**
 * Decides which addresses may receive a password that the operator did not name on the command line. Only Burrow can
 * listen on a socket in its own state directory. But any local program can take a TCP port, and report a false origin
 * and public URL to collect passwords.
 */
class LoginTargets {
  readonly refusal = {
    missing:
      'the public URL comes from the operator listener, which is a TCP port that another program could have taken',
  }
  readonly #isLoginNamed: boolean
  readonly #isUrlGiven: boolean
  readonly #isReportFromPort: boolean
  readonly #hostname: string | undefined
  readonly isOriginTrusted: boolean

  constructor(
    { user, passwordFile, url }: Examination,
    { operator, tunnel }: Config,
    report: StatusReport | undefined,
  ) {
    this.#isLoginNamed = user !== undefined || passwordFile !== undefined
    this.#isUrlGiven = url !== undefined
    this.#isReportFromPort = report !== undefined && operator?.address.kind === 'tcp'
    this.#hostname = tunnel?.hostname
    this.isOriginTrusted = this.#isLoginNamed || (report !== undefined && !this.#isReportFromPort)
  }

  isPublicUrlTrusted(url: string): boolean {
    return this.#isLoginNamed || this.#isUrlGiven || !this.#isReportFromPort || new URL(url).hostname === this.#hostname
  }
}

function ofConfig({ access, store }: Config, secrets: Secrets, login: Login | { readonly missing: string }) {
  return { isPublic: access.kind === 'public', storeDir: store.dir, publicKeys: secrets.publicKeys, login }
}

/** Without a valid config, only the public hostname and the clock can be checked. */
async function* examineWithoutConfig({ url, clocks, ...options }: Examination, deadline: Deadline): Findings {
  const login =
    options.passwordFile === undefined
      ? { missing: 'the config cannot be used' }
      : await chooseLogin(options, undefined, clocks.now())
  const ask = url === undefined ? undefined : createAsk(url, deadline)
  yield* checkClock(clocks, 0, ask)
  if (url === undefined || ask === undefined) return
  yield* checkPublic({
    url: new URL(url),
    ask,
    isPublic: undefined,
    storeDir: undefined,
    publicKeys: undefined,
    sample: undefined,
    login,
  })
}

async function* findPublicUrl(
  { config: { tunnel } }: LoadedConfig,
  report: StatusReport | undefined,
  state: State | undefined,
): Findings<string | undefined> {
  const reported = report?.publicUrl
  if (reported !== undefined && reported !== null && URL.canParse(reported)) return reported
  if (tunnel === undefined) return undefined
  // The hostname of a quick tunnel is only valid while it runs.
  const hostname = tunnel.hostname ?? (tunnel.mode === 'quick' ? undefined : await findRemembered(state))
  const known = publicUrlOf({ hostname })
  if (known === undefined)
    yield warn(
      'public host',
      'the public hostname is not known, so the tunnel was not tested',
      'set it with --url https://…',
    )
  return known
}

async function findRemembered(state: State | undefined): Promise<string | undefined> {
  try {
    return (await state?.findTunnelFacts())?.hostname
  } catch {
    return undefined
  }
}
