/** What is asked of a running connector at its metrics listener. Undefined where it gives no usable answer. */
import { hostnameOf } from '../explain/judgement.ts'
import type { TunnelSettings } from '../settings.ts'
import type { MetricsClient } from './metrics-client.ts'
import { type Ingress, metricsBytes, parseIngress, parseLinks, parseQuickTunnel, parseReadiness } from './readiness.ts'

const readyBytes = 4_096
const configBytes = 1_048_576

export async function askReadiness(client: MetricsClient) {
  return parseReadiness((await client.read('/ready', readyBytes)) ?? '')
}

/** How many connections serve or are being dialled. */
export async function askLinks(client: MetricsClient): Promise<number | undefined> {
  return parseLinks((await client.read('/metrics', metricsBytes)) ?? '')
}

/** The public hostname: of a quick tunnel its own, else the one in the settings or the first of the ingress rules. */
export async function askHostname(
  client: MetricsClient,
  { mode, hostname: wanted }: TunnelSettings,
): Promise<{ readonly hostname: string | undefined; readonly ingress?: Ingress } | undefined> {
  if (mode === 'quick') {
    const hostname = parseQuickTunnel((await client.read('/quicktunnel', readyBytes)) ?? '')
    return hostname === undefined ? undefined : { hostname }
  }
  const ingress = parseIngress((await client.read('/config', configBytes)) ?? '')
  return ingress && { hostname: wanted ?? hostnameOf(ingress), ingress }
}
