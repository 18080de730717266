/** The thread that has the usage file: writes batches and answers questions, one order after another. Started by `usage-thread.ts`. */
import { parentPort, workerData } from 'node:worker_threads'

import type { UsageAnswer, UsageOrder, UsageThreadData } from './messages.ts'
import { deleteExcess, deleteOld } from './retention.ts'
import { isDamaged, moveAside, openUsageFile, type UsageDatabase } from './usage-file.ts'
import { ofPath, readActivity, summarize } from './usage-queries.ts'
import { UsageWriter } from './usage-writer.ts'

if (!parentPort) throw new Error('Cannot run usage-worker as a program: usage-thread starts it as a thread')
const port = parentPort
const { file, storeDir, retention } = workerData as UsageThreadData

const dayMs = 86_400_000
/** Batches from one look at the size of the file to the next. */
const sizeInterval = 100

let opened: { readonly database: UsageDatabase; readonly writer: UsageWriter } | undefined
let movedAside: string | undefined
let cleanedDay = -1
let batches = 0

function use(): NonNullable<typeof opened> {
  if (opened === undefined) {
    const { database, movedAside: aside } = openUsageFile(file)
    movedAside = aside
    opened = { database, writer: new UsageWriter(database) }
    cleanedDay = -1
  }
  return opened
}

function close(): void {
  const closing = opened
  opened = undefined
  closing?.database[Symbol.dispose]()
}

function answer(order: UsageOrder): unknown {
  switch (order.kind) {
    case 'add': {
      use().writer.add(order.batch)
      clean(order.now)
      return undefined
    }
    case 'summarize':
      return summarize(use().database, storeDir, order.period, order.now)
    case 'of-path':
      return ofPath(use().database, order.storePath, order.days, order.now)
    case 'activity':
      return readActivity(use().database)
    case 'close':
      return close()
  }
}

function clean(now: number): void {
  const { database } = use()
  const day = Math.floor(now / dayMs)
  if (day !== cleanedDay) deleteOld(database, retention, now)
  if (day !== cleanedDay || ++batches % sizeInterval === 0) deleteExcess(database, retention, now)
  cleanedDay = day
}

/** Damage may show only when a page is read: the order is done again with a new file, once. */
function answerDespiteDamage(order: UsageOrder): unknown {
  try {
    return answer(order)
  } catch (error) {
    try {
      close()
    } catch {
      // The file is given up anyway.
    }
    if (!isDamaged(error)) throw error
    const aside = moveAside(file)
    const value = answer(order)
    movedAside = aside
    return value
  }
}

port.on('message', (order: UsageOrder) => {
  let value: unknown
  let problem: string | undefined
  movedAside = undefined
  try {
    value = answerDespiteDamage(order)
  } catch (error) {
    problem = (error as Error).message
  }
  port.postMessage({ value, problem, movedAside } satisfies UsageAnswer)
  if (order.kind === 'close') port.close()
})
