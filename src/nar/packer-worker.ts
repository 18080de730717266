/** The packer thread: receives requests, schedules jobs and sends results. Started by `packer-thread.ts`. */
import { parentPort, workerData } from 'node:worker_threads'

import { Slots } from '../disk/slots.ts'
import { CompressJob, type CompressJobParts } from './compress-job.ts'
import { type CompressionUse, Compressors } from './compressor.ts'
import type { NarRequest } from './contract.ts'
import { createDiskQueue } from './disk-queue.ts'
import { FileSink } from './file-sink.ts'
import { LayoutMemory } from './layout-memory.ts'
import { ListJob } from './list-job.ts'
import { NarSource } from './nar-source.ts'
import { Outbox } from './outbox.ts'
import { Outlet, Outlets } from './outlet.ts'
import { OutletSink } from './outlet-sink.ts'
import type { PackerRequest, PackerThreadData } from './packer-messages.ts'
import { RawJob } from './raw-job.ts'
import { type Job, Scheduler } from './scheduler.ts'

if (!parentPort) throw new Error('Cannot run packer-worker as a program: packer-thread starts it as a thread')
const port = parentPort
const { memory, compressors: compressorCount } = workerData as PackerThreadData

const outbox = new Outbox(port)
const outlets = new Outlets(memory, new Slots(memory.byteLength), outbox)
const layouts = new LayoutMemory()
const compressors = new Compressors(compressorCount)
const disk = createDiskQueue()
const scheduler = new Scheduler()
const jobs = new Map<number, Job>()

function accept(request: PackerRequest): void {
  switch (request.kind) {
    case 'raw': {
      const { job, nar, start, end } = request
      const source = new NarSource(layouts, nar, start, end)
      return begin(job, (over) => new RawJob({ scheduler, outlets, compressors, job, source }, over))
    }
    case 'compressed':
      return begin(request.job, (over) => {
        const wake = () => scheduler.wake(job)
        const sink = new OutletSink(new Outlet(outlets, request.job, wake), outbox, request.start, request.end, wake)
        const job = new CompressJob(partsOf('reader', request.nar, request.level), sink, over)
        return job
      })
    case 'fill':
      return begin(request.job, (over) => {
        const sink = new FileSink(request.job, request.tempFile, outbox, disk, () => scheduler.wake(job))
        const job = new CompressJob(partsOf('file', request.nar, request.level), sink, over)
        return job
      })
    case 'list':
      return begin(
        request.job,
        (over) => new ListJob({ layouts, outbox, job: request.job, realPath: request.realPath }, over),
      )
    case 'drop':
      return jobs.get(request.job)?.drop()
    case 'free':
      for (const at of request.slots) outlets.give(at)
      return
    case 'close':
      // Operations running in libuv's pool finish first; after that, nothing keeps the thread alive.
      for (const job of [...jobs.values()]) job.drop()
      port.close()
  }
}

function begin(id: number, create: (over: () => void) => Job): void {
  const job = create(() => jobs.delete(id))
  jobs.set(id, job)
  scheduler.begin(job)
}

function partsOf(use: CompressionUse, nar: NarRequest, level: number): CompressJobParts {
  return { scheduler, compressors, source: new NarSource(layouts, nar), use, narSize: nar.narSize, level }
}

port.on('message', (requests: readonly PackerRequest[]) => {
  for (const request of requests) accept(request)
})
