/** Load with wrk: many small requests for a given time, far cheaper per request than any client written in Node. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Endpoint } from './cache.ts'
import { cpuSecondsOf, runCommand } from './children.ts'
import { workDir } from './work-dir.ts'

const script = fileURLToPath(new URL('wrk.lua', import.meta.url))

export interface WrkResult {
  readonly requestsPerSecond: number
  /** Bytes on the wire, headers included. */
  readonly bytesPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
  /** Processor time of the server during the run, per request, in microseconds. */
  readonly serverCpuMicros: number
  /** The share of the run in which the server's threads were on a processor; above 1 with several threads. */
  readonly serverBusy: number
}

interface WrkReport {
  requests: number
  bytes: number
  seconds: number
  p50Ms: number
  p99Ms: number
  maxMs: number
  badStatuses: number
  brokenTransfers: number
}

export interface WrkLoad {
  readonly paths: readonly string[]
  readonly connections: number
  readonly seconds: number
}

/** @throws {Error} when any reply was not 200 or any transfer broke: a fast refusal must not pass for a fast answer */
export async function runWrk(endpoint: Endpoint, load: WrkLoad): Promise<WrkResult> {
  const pathsFile = join(workDir, `paths-${endpoint.port}.txt`)
  writeFileSync(pathsFile, `${load.paths.join('\n')}\n`)
  const env = {
    ...process.env,
    BENCH_PATHS: pathsFile,
    ...(endpoint.authorization === undefined ? {} : { BENCH_AUTHORIZATION: endpoint.authorization }),
  }
  const args = [
    '-t1',
    `-c${load.connections}`,
    `-d${load.seconds}s`,
    '--timeout',
    '60s',
    '-s',
    script,
    `http://${endpoint.host}:${endpoint.port}/`,
  ]
  const cpuBefore = cpuSecondsOf(endpoint.pid)
  const { stdout } = await runCommand('wrk', args, { env, timeoutSeconds: load.seconds + 90 })
  const cpu = cpuSecondsOf(endpoint.pid) - cpuBefore
  const report = JSON.parse(stdout.trim().split('\n').at(-1)!) as WrkReport
  if (report.badStatuses > 0 || report.brokenTransfers > 0 || report.requests === 0) {
    throw new Error(
      `Cannot measure ${endpoint.label}: ${report.badStatuses} bad statuses, ${report.brokenTransfers} broken transfers, ${report.requests} replies`,
    )
  }
  return {
    requestsPerSecond: report.requests / report.seconds,
    bytesPerSecond: report.bytes / report.seconds,
    p50Ms: report.p50Ms,
    p99Ms: report.p99Ms,
    maxMs: report.maxMs,
    serverCpuMicros: (cpu / report.requests) * 1e6,
    serverBusy: cpu / report.seconds,
  }
}
