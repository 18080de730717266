/** The text of /metrics: each metric's type, its label names, and their values so far. */
export interface Metric {
  readonly type: string
  readonly labels: ReadonlyMap<string, ReadonlySet<string>>
}

export function parseExposition(text: string): ReadonlyMap<string, Metric> {
  const metrics = new Map<string, { type: string; labels: Map<string, Set<string>> }>()
  for (const line of text.split('\n')) {
    const [, declared, type] = /^# TYPE (\S+) (\S+)$/.exec(line) ?? []
    if (declared !== undefined)
      for (const name of type === 'histogram' ? ['_bucket', '_sum', '_count'].map((end) => declared + end) : [declared])
        metrics.set(name, { type: type!, labels: new Map() })
    const [, sampled, labels = ''] = /^([a-zA-Z_:][\w:]*)(\{.*\})? \S+$/.exec(line) ?? []
    if (sampled === undefined) continue
    const metric = metrics.get(sampled)
    if (metric === undefined) throw new Error(`/metrics has a sample without a type: ${line}`)
    for (const [, name, value] of labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) {
      const values = metric.labels.get(name!) ?? new Set()
      metric.labels.set(name!, values.add(value!))
    }
  }
  return metrics
}
