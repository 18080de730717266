/** Usage figures in a scratch directory, with a clock that the test turns. */
import { type Analytics, type AnalyticsOptions, openAnalytics } from '../../../appliance/analytics/analytics.ts'
import type { Exchange, Log } from '../../../src/index.ts'
import type { LogLine } from '../../fixtures/cache.ts'
import { createScratchDir, type ScratchDir } from '../scratch-dir.ts'

export const startAt = Date.parse('2026-11-27T12:30:00Z')
export const storeDir = '/nix/store'
export const hourMs = 3_600_000
export const dayMs = 24 * hourMs

export function hashPart(number: number): string {
  return number.toString().padStart(32, '0')
}

export function pathOf(number: number, name = 'thing'): string {
  return `${storeDir}/${hashPart(number)}-${name}`
}

/** A download of a small compressed NAR by ben. */
export const download: Exchange = {
  route: 'nar-compressed',
  method: 'GET',
  target: '/nar/x',
  status: 200,
  user: 'ben',
  isAdmitted: true,
  attemptedUser: undefined,
  storePath: pathOf(1),
  servedFrom: 'larder',
  address: '203.0.113.7',
  ray: undefined,
  bytes: 400,
  durationMs: 50,
  isComplete: true,
  nar: { wholeBytes: 400, insteadOfBytes: 1000, reachesEnd: true },
}

/** A narinfo that is not here, asked for by ben. */
export const miss: Exchange = {
  ...download,
  route: 'narinfo',
  status: 404,
  storePath: undefined,
  servedFrom: undefined,
  bytes: 10,
  nar: undefined,
  missed: [hashPart(99)],
}

export interface TestAnalytics extends AsyncDisposable {
  readonly analytics: Analytics
  readonly dir: ScratchDir
  readonly file: string
  readonly log: LogLine[]
  now: number
  /** Reports exchanges at the time `now`, and stores them. */
  report(...exchanges: readonly Partial<Exchange>[]): Promise<void>
  /** Runs the timers that are due. */
  fireTimers(): void
  readonly timers: readonly number[]
  /** Ends it, and opens the same file. */
  reopen(): Promise<void>
}

type Options = Partial<
  Pick<AnalyticsOptions, 'keepDays' | 'keepAddressesDays' | 'isHere' | 'findExpected' | 'maxBytes'>
>

export async function openTestAnalytics(options: Options = {}): Promise<TestAnalytics> {
  const dir = await createScratchDir()
  const log: LogLine[] = []
  const at = (level: keyof Log) => (fields: object, message: string) =>
    void log.push({ level, fields: { ...fields }, message })
  let due: { ms: number; callback: () => void }[] = []
  const open = () =>
    openAnalytics({
      stateDir: dir.path,
      storeDir,
      keepDays: 400,
      keepAddressesDays: 7,
      isHere: async () => false,
      findExpected: () => undefined,
      log: { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') },
      now: () => test.now,
      after(ms, callback) {
        const timer = { ms, callback }
        due.push(timer)
        return () => {
          due = due.filter((one) => one !== timer)
        }
      },
      ...options,
    })
  let analytics = open()
  const test: TestAnalytics = {
    get analytics() {
      return analytics
    },
    dir,
    file: dir.file('usage.sqlite'),
    log,
    now: startAt,
    async report(...exchanges) {
      for (const exchange of exchanges) analytics.observer.exchanged({ ...download, ...exchange })
      await analytics.usage.summarize({ days: 1 })
    },
    fireTimers() {
      for (const { callback } of due.splice(0)) callback()
    },
    get timers() {
      return due.map(({ ms }) => ms)
    },
    async reopen() {
      await analytics[Symbol.asyncDispose]()
      analytics = open()
    },
    async [Symbol.asyncDispose]() {
      await analytics[Symbol.asyncDispose]()
      await dir[Symbol.asyncDispose]()
    },
  }
  return test
}
