/** Whether there is a cloudflared to run, and whether it is new enough. */
import type { Config } from '../config/config.ts'
import type { Machine } from '../machine.ts'
import type { TunnelSettings } from '../tunnel/settings.ts'
import type { Findings } from './finding.ts'

export async function* checkBinary(_settings: TunnelSettings, _config: Config, _machine: Machine): Findings {}
