/** File names of what Nix uploads in addition to NARs and narinfos. Undefined for malformed names. */
import { parseRealisationId } from '../../nix/realisation.ts'

export function parseDebugInfo(file: string): string | undefined {
  return /^([0-9a-f]{40})\.debug$/.exec(file)?.[1]
}

export function parseRealisation(file: string): string | undefined {
  const id = /^(.+)\.doi$/.exec(file)?.[1]
  return id !== undefined && parseRealisationId(id) !== undefined ? id : undefined
}

export function parseBuildTrace(drv: string, file: string): string | undefined {
  const output = /^([0-9A-Za-z+\-._?=]{1,211})\.doi$/.exec(file)?.[1]
  return output !== undefined && /^[0-9a-df-np-sv-z]{32}-[0-9A-Za-z+\-._?=]{1,211}\.drv$/.test(drv)
    ? `${drv}/${output}`
    : undefined
}
