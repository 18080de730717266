/** Pushing through the relay: what stock Nix puts there goes to the far end by the push protocol. */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import {
  type Log,
  NarSpool,
  PushedFiles,
  PushFault,
  pushPaths,
  type RelayUploads,
  UploadHandler,
} from '../../../src/index.ts'
import type { Machine } from '../../machine.ts'
import { findDecompressors } from '../../server/decompressors.ts'
import { openFarEnd } from '../open-push.ts'
import type { RelayLogin } from './relay-login.ts'

export interface RelayUploadOptions {
  readonly login: RelayLogin
  readonly storeDir: string
  /** For NARs on their way, and for what was pushed. Exists. */
  readonly stateDir: string
  readonly jobs: number
  /** A push is given up after this time without progress. */
  readonly patienceMs: number
  readonly log: Log
}

export async function openRelayUploads(
  machine: Machine,
  { login, storeDir, stateDir, jobs, patienceMs, log }: RelayUploadOptions,
): Promise<RelayUploads> {
  const spool = await NarSpool.open(join(stateDir, 'spool'), findDecompressors(machine.env.PATH))
  const pushed = await PushedFiles.open(join(stateDir, 'pushed'))
  const open = () =>
    openFarEnd(login.location, {
      jobs,
      patienceMs,
      onRetry: (reason) => log.debug({ reason }, 'A push is tried again'),
    })
  const handler = new UploadHandler({
    spool,
    pushed,
    storeDir,
    log,
    async push(storePath, store) {
      using farEnd = open()
      const { paths } = await pushPaths([storePath], {
        store,
        farEnd,
        jobs,
        level: 3,
        withReferences: false,
        isExcluded: () => false,
        includeUpstream: true,
        isDryRun: false,
        sleep: (ms) => sleep(ms),
        report: () => {},
      })
      const { status, reason = '' } = paths.get(storePath) ?? {}
      if (status === 'conflict') throw new PushFault('refused', reason, { status: 409 })
      if (status === 'refused') throw new PushFault('refused', reason, { status: 422 })
    },
    async forward(path, body) {
      using farEnd = open()
      const reply = await farEnd.request({ method: 'PUT', path, body })
      return { status: reply.status, text: reply.body.toString('utf8').trim().slice(0, 500) }
    },
  })
  return {
    handle: (request, response) => handler.handle(request, response),
    hasNar: (path) => handler.hasNar(path),
    findPushed: (path) => handler.findPushed(path),
  }
}
