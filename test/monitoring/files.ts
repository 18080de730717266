/** monitoring/, as its users load it. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parse } from 'yaml'

export const monitoringDir = fileURLToPath(new URL('../../monitoring/', import.meta.url))

export interface Rule {
  readonly alert: string
  readonly expr: string
  readonly for: string
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: { readonly summary: string; readonly description: string }
}

export interface Target {
  readonly refId: string
  readonly expr: string
  readonly legendFormat: string
  readonly datasource: unknown
}

export interface Panel {
  readonly id: number
  readonly type: string
  readonly title: string
  readonly description?: string
  readonly datasource?: unknown
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number }
  readonly targets?: readonly Target[]
  readonly fieldConfig?: { readonly defaults: { readonly unit?: string } }
}

export interface Dashboard {
  readonly uid: string
  readonly schemaVersion: number
  readonly panels: readonly Panel[]
  readonly annotations: { readonly list: readonly { readonly expr?: string }[] }
  readonly templating: {
    readonly list: readonly {
      readonly name: string
      readonly type: string
      readonly query: string | { readonly query: string }
    }[]
  }
}

export function readRules(): readonly Rule[] {
  const { groups } = parse(readFileSync(`${monitoringDir}alerts.yml`, 'utf8')) as {
    groups: readonly { readonly rules: readonly Rule[] }[]
  }
  return groups.flatMap(({ rules }) => rules)
}

export function readDashboard(): Dashboard {
  return JSON.parse(readFileSync(`${monitoringDir}grafana-dashboard.json`, 'utf8')) as Dashboard
}

/** Every query of the dashboard, as Grafana sends it to Prometheus with nothing chosen. */
export function listQueries({ panels, annotations }: Dashboard): readonly { title: string; expr: string }[] {
  return [
    ...panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ title, expr }))),
    ...annotations.list.flatMap(({ expr }) => (expr === undefined ? [] : [{ title: 'annotation', expr }])),
  ].map(({ title, expr }) => ({
    title,
    expr: expr.replaceAll('$__rate_interval', '5m').replaceAll('$job', '.*').replaceAll('$instance', '.*'),
  }))
}
