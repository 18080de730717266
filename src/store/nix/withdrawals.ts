/**
 * Store objects out of service because their files contradict their record. A withdrawal is of one record (row,
 * registration time, hash, size) and of the files as they lay there (inode and change time of the top): when either is
 * another, as after `nix-store --repair-path` or a re-installation, the object is served again. Kept in memory only:
 * after a restart the next transfer detects it again.
 */
import { lstatSync } from 'node:fs'

import type { Fault } from '../../faults.ts'
import type { Log } from '../../log.ts'
import type { PathInfo } from '../../nix/path-info.ts'
import type { StoreRecord } from './database-row.ts'

interface Withdrawal {
  /** Undefined when the database could not be asked: then any row with the same content will do. */
  readonly id: number | undefined
  readonly info: PathInfo
  readonly files: string
}

export interface WithdrawalsOptions {
  readonly log: Log
  readonly now: () => number
  readonly realPathOf: (storePath: string) => string
  /** The record as it stands now; undefined when the path is no longer valid. @throws {Fault} store-unavailable */
  readonly findRecord: (storePath: string) => StoreRecord | undefined
}

/** Replaced files announce themselves nowhere: a few withdrawn paths are looked at in this time, in rotation. */
const reviewMs = 1000
const reviewCount = 32

export class Withdrawals {
  readonly #options: WithdrawalsOptions
  readonly #byPath = new Map<string, Withdrawal>()
  #reviewAtMs = 0
  #changes = 0
  #total = 0

  constructor(options: WithdrawalsOptions) {
    this.#options = options
  }

  /** Moves with every withdrawal and every reinstatement. */
  get changes(): number {
    return this.#changes
  }

  /** Withdrawals since the start, lifted ones included. */
  get total(): number {
    return this.#total
  }

  get count(): number {
    return this.#byPath.size
  }

  /** Never throws. */
  withdraw(info: PathInfo, fault: Fault): void {
    const { log, realPathOf } = this.#options
    const { storePath } = info
    const record = this.#findRecordIfPossible(storePath)
    if (record === undefined || (record !== 'unknown' && !isSameRegistration(record.info, info))) {
      log.info(
        { storePath, code: fault.code },
        'A store path failed, but its record has changed since: it stays in service',
      )
      return
    }
    this.#byPath.set(storePath, {
      id: record === 'unknown' ? undefined : record.id,
      info,
      files: describeFiles(realPathOf(storePath)),
    })
    this.#changes++
    this.#total++
    const repair = `nix-store --repair-path ${storePath}`
    log.error(
      { storePath, code: fault.code, err: fault, repair },
      'A store path was withdrawn: its files contradict its record',
    )
  }

  #findRecordIfPossible(storePath: string): StoreRecord | undefined | 'unknown' {
    try {
      return this.#options.findRecord(storePath)
    } catch {
      // The database cannot be read at the moment; the next look-up of the path reports it.
      return 'unknown'
    }
  }

  /** True while this very record is withdrawn; lifts the withdrawal if record or files are others. */
  covers(record: StoreRecord): boolean {
    if (this.#byPath.size === 0) return false
    const { storePath } = record.info
    const withdrawal = this.#byPath.get(storePath)
    if (!withdrawal) return false
    const isSameRecord = (withdrawal.id ?? record.id) === record.id && isSameRegistration(withdrawal.info, record.info)
    if (isSameRecord && withdrawal.files === describeFiles(this.#options.realPathOf(storePath))) return true
    this.#lift(storePath)
    this.#options.log.info({ storePath }, 'A withdrawn store path is back in service')
    return false
  }

  /** Lifts what was repaired without a trace in the database. Cheap: does nothing most of the time. */
  review(): void {
    if (this.#byPath.size === 0) return
    const now = this.#options.now()
    if (now < this.#reviewAtMs) return
    this.#reviewAtMs = now + reviewMs
    for (const [storePath, withdrawal] of [...this.#byPath].slice(0, reviewCount)) {
      const record = this.#options.findRecord(storePath)
      if (!record) this.#lift(storePath)
      else if (this.covers(record)) {
        // To the end of the queue.
        this.#byPath.delete(storePath)
        this.#byPath.set(storePath, withdrawal)
      }
    }
  }

  #lift(storePath: string): void {
    this.#byPath.delete(storePath)
    this.#changes++
  }
}

function isSameRegistration(a: PathInfo, b: PathInfo): boolean {
  return (
    a.storePath === b.storePath &&
    a.narHash === b.narHash &&
    a.narSize === b.narSize &&
    a.registrationTime === b.registrationTime
  )
}

function describeFiles(realPath: string): string {
  try {
    const { dev, ino, ctimeNs } = lstatSync(realPath, { bigint: true })
    return `${dev} ${ino} ${ctimeNs}`
  } catch {
    return 'absent'
  }
}
