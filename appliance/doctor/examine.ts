/**
 * The whole examination, from the file on the disk to the client's end of the tunnel; each group of checks hands on
 * what later ones need.
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
import { checkPush, checkUpstreams } from './push-checks.ts'
import { findSample } from './sample.ts'
import { checkOrigin, checkServer, checkTunnel } from './server-checks.ts'

export interface Examination extends LoginOptions {
  readonly machine: Machine
  /** The config file, as `--config` says. */
  readonly file: string | undefined
  /** Instead of the public URL that is known here. */
  readonly url: string | undefined
  readonly version: string
  /** As `serve` would find it. Not looked for when it is left out. */
  readonly findBinary?: ((config: Config) => Promise<Binary | undefined>) | undefined
  readonly clocks: Clocks
  /** For all requests together. */
  readonly totalMs: number
}

/**
 * Never rejects for what is wrong with the patient. @throws {Complaint} usage, refused: of the command line's own
 * options
 */
export async function* examine(examination: Examination): Findings {
  const { machine, file, url, version, findBinary, clocks, totalMs } = examination
  const deadline = createDeadline(totalMs, clocks)
  const clock = watchClock(clocks)
  const loaded = yield* checkConfig({ machine, file })
  if (loaded === undefined) return yield* examineBlindly(examination, deadline)
  const { config } = loaded
  const state = yield* checkStateDir(config, machine.userId)
  const secrets = yield* checkSecrets(loaded, state, clocks.now())
  const chosen = await chooseLogin(examination, secrets.users, clocks.now())
  yield* checkStore(config)
  const report = yield* checkServer(config, version)
  yield* checkLarder(config, report?.larder?.bytes)
  yield* checkPush({ config, users: secrets.users, report, now: clocks.now() })
  yield* checkUpstreams({ config, report, deadline })
  if (config.tunnel !== undefined && findBinary !== undefined)
    yield* checkBinary(config.tunnel, () => findBinary(config), clocks.now())
  if (report !== undefined) yield* checkTunnel(config, report)
  const trusted = new TrustedPlaces(examination, config, report)
  const askOrigin = yield* checkOrigin({
    config,
    report,
    login: trusted.isOriginOurs ? loginOf(chosen) : undefined,
    deadline,
  })
  const sample = askOrigin && (await findSample(config, askOrigin, loginOf(chosen)))

  const publicUrl = url ?? (yield* findPublicUrl(loaded, report, state))
  const askEdge = publicUrl === undefined ? undefined : createAsk(publicUrl, deadline)
  yield* checkClock(clocks, clock.findJumpMs(), askEdge)
  if (publicUrl === undefined || askEdge === undefined) return
  const login = trusted.isPublicUrlOurs(publicUrl) ? chosen : trusted.refusal
  yield* checkPublic({ ...ofConfig(config, secrets, login), url: new URL(publicUrl), ask: askEdge, sample })
}

function loginOf(chosen: Login | { readonly missing: string }): Login | undefined {
  return 'missing' in chosen ? undefined : chosen
}

/**
 * Where a password may be tried without being asked for. A socket in a directory of ours is answered by Burrow alone;
 * any program of this machine may have taken a port, and what it says of origin and public URL may be meant to collect
 * passwords.
 */
class TrustedPlaces {
  readonly refusal = {
    missing:
      'the operator listener is a port, which another program could have taken, and the public URL was learned there',
  }
  readonly #isAskedFor: boolean
  readonly #isUrlGiven: boolean
  readonly #isToldByPort: boolean
  readonly #hostname: string | undefined
  readonly isOriginOurs: boolean

  constructor(
    { user, passwordFile, url }: Examination,
    { operator, tunnel }: Config,
    report: StatusReport | undefined,
  ) {
    this.#isAskedFor = user !== undefined || passwordFile !== undefined
    this.#isUrlGiven = url !== undefined
    this.#isToldByPort = report !== undefined && operator?.address.kind === 'tcp'
    this.#hostname = tunnel?.hostname
    this.isOriginOurs = this.#isAskedFor || (report !== undefined && !this.#isToldByPort)
  }

  isPublicUrlOurs(url: string): boolean {
    return this.#isAskedFor || this.#isUrlGiven || !this.#isToldByPort || new URL(url).hostname === this.#hostname
  }
}

function ofConfig({ access, store }: Config, secrets: Secrets, login: Login | { readonly missing: string }) {
  return { isPublic: access.kind === 'public', storeDir: store.dir, publicKeys: secrets.publicKeys, login }
}

/** Without a config there are still the host name and the clock. */
async function* examineBlindly({ url, clocks, ...options }: Examination, deadline: Deadline): Findings {
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
  const told = report?.publicUrl
  if (told !== undefined && told !== null && URL.canParse(told)) return told
  if (tunnel === undefined) return undefined
  // The name of a quick tunnel ends with it.
  const hostname = tunnel.hostname ?? (tunnel.mode === 'quick' ? undefined : await findRemembered(state))
  const known = publicUrlOf({ hostname })
  if (known === undefined)
    yield warn(
      'public host',
      'the public host name is not known here, so the way through the tunnel was not tried',
      'name it: --url https://…',
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
