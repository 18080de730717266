/** The depot as HTTP sees it: what may be pushed, and what may be asked about it. `depot.ts` keeps the promises. */
import type { Depot } from './depot.ts'

export type PushTarget = Pick<
  Depot,
  | 'storeDir'
  | 'policy'
  | 'admitNar'
  | 'receiveNar'
  | 'findNarFile'
  | 'registerNarInfo'
  | 'plan'
  | 'putPart'
  | 'putBatch'
  | 'commit'
  | 'putDocument'
  | 'findDocument'
  | 'putLog'
  | 'pins'
  | 'setPin'
  | 'removePin'
  | 'forget'
  | 'figures'
>

/** Who pushed a path, and why it is kept. */
export type PathHistory = Pick<Depot, 'find' | 'who' | 'explain'>

export { batchLimits } from './batch.ts'
export type { Committed } from './committing.ts'
export { partLimits } from './part-form.ts'
export { isPinName, mayWritePin } from './pins.ts'
export type { Planned } from './plan.ts'
export type { Conflict, NarReceived, Pusher, Refusal, RefusalCode } from './types.ts'
