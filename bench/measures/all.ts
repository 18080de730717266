/** Every measure, in the order of the table. */
import type { Measure } from '../measure.ts'
import { closureCopy, wireBytes } from './closure.ts'
import {
  deltaMaking,
  deltaMakingMemory,
  deltaReading,
  deltaReadingMemory,
  deltaRebuild,
  deltaUpdates,
} from './deltas.ts'
import { slowReaders, startUp } from './footprint.ts'
import { latencyWhileCompressing, latencyWhileStreaming } from './latency.ts'
import { narInfoRate } from './narinfo.ts'
import { larderNars, rawHugeFile1, rawHugeFile4, rawNars, smallLarderNars } from './nars.ts'
import { firstFetch, tinyFiles } from './packing.ts'
import { pushAgainstStockNix, pushClosure, pushCuts, pushHomeLine, pushNothing, pushSmall } from './push.ts'
import { relayClosure, relayLine, relaySmall, relaySmallSlow } from './relay.ts'
import { relayMemory, relayStartUp } from './relay-footprint.ts'

export const measures: readonly Measure[] = [
  narInfoRate,
  larderNars,
  smallLarderNars,
  rawHugeFile1,
  rawHugeFile4,
  rawNars,
  tinyFiles,
  firstFetch,
  closureCopy,
  wireBytes,
  latencyWhileStreaming,
  latencyWhileCompressing,
  slowReaders,
  startUp,
  pushClosure,
  pushAgainstStockNix,
  pushSmall,
  pushNothing,
  pushHomeLine,
  pushCuts,
  relayClosure,
  relaySmall,
  relaySmallSlow,
  relayLine,
  deltaUpdates,
  deltaRebuild,
  deltaMaking,
  deltaReading,
  deltaMakingMemory,
  deltaReadingMemory,
  relayStartUp,
  relayMemory,
]
