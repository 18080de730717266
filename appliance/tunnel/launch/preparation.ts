/** What a start needs before it: a binary that can be executed, and a launch; or the reason why there is none. */
import type { Log } from '../../../src/index.ts'
import { explainUnexecutable, noBinary } from '../explain/binary-diagnosis.ts'
import { brokenHere, type EndDiagnosis, soon } from '../explain/connector-problems.ts'
import { findUnexecutable } from '../find/executable.ts'
import { type TunnelClock, unlessAborted } from '../tunnel-clock.ts'
import type { TunnelParts } from '../tunnel-parts.ts'
import { type Binary, type Launch, LaunchFault } from './launch.ts'

/** For a stop that is asked for meanwhile. */
export const patienceMs = 5_000

export type Preparation =
  | { readonly binary: Binary; readonly launch: Launch }
  | { readonly diagnosis: EndDiagnosis }
  | undefined

/** `undefined`: a stop came in between, and nothing of the preparation is left. Never rejects. */
export async function prepare(
  parts: Pick<TunnelParts, 'findBinary' | 'prepareLaunch'> & { clock: TunnelClock; log: Log },
  stop: AbortSignal,
): Promise<Preparation> {
  try {
    return await tryToPrepare(parts, stop)
  } catch (error) {
    if (error instanceof LaunchFault) return { diagnosis: brokenHere(error.message, error.remedy) }
    parts.log.error({ err: error }, 'Cannot prepare the start of cloudflared')
    return {
      diagnosis: soon(
        `cloudflared cannot be started: ${error instanceof Error ? error.message : String(error)}`,
        undefined,
      ),
    }
  }
}

async function tryToPrepare(parts: Parameters<typeof prepare>[0], stop: AbortSignal): Promise<Preparation> {
  const binary = await unlessAborted(parts.clock, stop, patienceMs, parts.findBinary())
  if (stop.aborted) return undefined
  if (binary === undefined) return { diagnosis: noBinary }
  const unexecutable = await findUnexecutable(binary.path)
  if (stop.aborted) return undefined
  if (unexecutable !== undefined) return { diagnosis: explainUnexecutable(unexecutable, binary.path) }

  const preparing = parts.prepareLaunch(binary)
  const launch = await unlessAborted(parts.clock, stop, patienceMs, preparing)
  if (launch !== undefined && !stop.aborted) return { binary, launch }
  // Now or when it comes at last: it has put a secret somewhere.
  if (launch === undefined) void preparing.then((late) => late.forgetSecret()).catch(() => {})
  else await launch.forgetSecret()
  return undefined
}
