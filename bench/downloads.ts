/**
 * Load with our own client (`download-client.ts`, a process of its own): exactly these NARs, so many times, over so
 * many connections. A whole number of passes, because one object of 500 MB among 1,500 makes any fixed length of time a
 * lottery.
 */
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Endpoint } from './cache.ts'
import { cpuSecondsOf, startChild, stopChild } from './children.ts'

export interface DownloadPlan {
  readonly host: string
  readonly port: number
  readonly authorization: string | undefined
  readonly connections: number
  /** How often each path is fetched; 0: round and round until standard input ends. */
  readonly passes: number
  readonly requests: readonly DownloadRequest[]
}

export interface DownloadRequest {
  readonly path: string
  /** Length that the reply must have. */
  readonly bytes: number
}

export interface DownloadReport {
  readonly seconds: number
  /** Bytes of bodies. */
  readonly bytes: number
  readonly responses: number
  /**
   * The share of the time in which the client was on a processor: near 1 means that it, not the server, was measured.
   */
  readonly clientBusy: number
  readonly failure: string | undefined
}

export interface DownloadResult extends DownloadReport {
  readonly bytesPerSecond: number
  readonly serverBusy: number
}

const program = fileURLToPath(new URL('download-client.ts', import.meta.url))

export type DownloadLoad = Pick<DownloadPlan, 'connections' | 'passes' | 'requests'>

/** @throws {Error} when a reply was not 200, had another length or broke off */
export async function runDownloads(endpoint: Endpoint, load: DownloadLoad): Promise<DownloadResult> {
  const before = cpuSecondsOf(endpoint.pid)
  const report = await startDownloads(endpoint, load).finish()
  return {
    ...report,
    bytesPerSecond: report.bytes / report.seconds,
    serverBusy: (cpuSecondsOf(endpoint.pid) - before) / report.seconds,
  }
}

export interface RunningDownloads {
  /** Resolves when the plan is done. */
  finish(): Promise<DownloadReport>
  /** Breaks off and tells what was done until now. */
  stop(): Promise<DownloadReport>
}

export function startDownloads(endpoint: Endpoint, load: DownloadLoad): RunningDownloads {
  const plan: DownloadPlan = {
    host: endpoint.host,
    port: endpoint.port,
    authorization: endpoint.authorization,
    ...load,
  }
  const child = startChild(process.execPath, ['--disable-warning=ExperimentalWarning', program], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  child.stdin!.on('error', () => undefined).write(`${JSON.stringify(plan)}\n`)
  const timer = setTimeout(() => void stopChild(child, 'SIGKILL'), 180_000)
  const closed = once(child, 'close').finally(() => clearTimeout(timer))
  const finish = async (): Promise<DownloadReport> => {
    await closed
    if (output === '') throw new Error(`Cannot measure ${endpoint.label}: the downloads did not end within 180 s`)
    const report = JSON.parse(output) as DownloadReport
    if (report.failure !== undefined) throw new Error(`Cannot measure ${endpoint.label}: ${report.failure}`)
    return report
  }
  return {
    finish,
    stop: () => {
      child.stdin!.end()
      return finish()
    },
  }
}
