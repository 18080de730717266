/**
 * The dashboard against what Grafana requires of a dashboard (schema version 38, Grafana 9.5 and newer), and the rules
 * and queries against Prometheus' own parser.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { describe, expect, test } from '@jest/globals'

import { createScratchDir } from '../appliance/scratch-dir.ts'
import { testWithPrograms } from '../fixtures/programs.ts'
import { run } from '../fixtures/run.ts'
import { listQueries, monitoringDir, type Panel, readDashboard, readRules } from './files.ts'

const dashboard = readDashboard()
const { panels } = dashboard
const withPromtool = testWithPrograms('prometheus', ['promtool'])

/** As promtool reads it: what it says on failure is the message. */
async function promtool(args: readonly string[], cwd: string): Promise<string> {
  const { code, stdout, stderr } = await run('promtool', args, { cwd, allowFailure: true })
  if (code !== 0) throw new Error(`promtool ${args.join(' ')}:\n${stdout}${stderr}`)
  return stdout
}

describe('grafana-dashboard.json', () => {
  test('panels have ids of their own, a place within 24 columns, and no two overlap', () => {
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length)
    for (const { gridPos, title } of panels) {
      expect([title, Number.isInteger(gridPos.y), gridPos.x >= 0, gridPos.x + gridPos.w <= 24]).toEqual([
        title,
        true,
        true,
        true,
      ])
    }
    expect(panels.flatMap((one, index) => panels.slice(index + 1).filter((other) => overlap(one, other)))).toEqual([])
  })

  test('panels are of types that every Grafana has, with a unit and a description', () => {
    const charts = panels.filter(({ type }) => type !== 'row')
    expect(new Set(charts.map(({ type }) => type))).toEqual(new Set(['stat', 'timeseries', 'state-timeline']))
    expect(charts.filter(({ description }) => !description).map(({ title }) => title)).toEqual([])
    const units = new Set(charts.map(({ fieldConfig }) => fieldConfig?.defaults.unit))
    // All are ids of Grafana's own units.
    for (const unit of units)
      expect(['short', 'bytes', 'Bps', 'reqps', 'ops', 's', 'percentunit', 'dateTimeFromNow']).toContain(unit)
  })

  test('every query goes to the data source that is chosen at the top, with refIds of its own', () => {
    const chosen = { type: 'prometheus', uid: '${datasource}' }
    for (const { type, title, datasource, targets = [] } of panels.filter((panel) => panel.type !== 'row')) {
      expect([title, type, datasource]).toEqual([title, type, chosen])
      expect(targets.length).toBeGreaterThan(0)
      expect(new Set(targets.map(({ refId }) => refId)).size).toBe(targets.length)
      for (const target of targets) expect(target.datasource).toEqual(chosen)
    }
    expect(dashboard.templating.list.map(({ name, type }) => [name, type])).toEqual([
      ['datasource', 'datasource'],
      ['job', 'query'],
      ['instance', 'query'],
    ])
  })

  test('every selector is limited to the chosen job and instance', () => {
    for (const { title, targets = [] } of panels)
      for (const { expr } of targets) {
        const selectors = expr.match(/\b(?:burrow|process|nodejs)_\w+(?:\{[^}]*\})?/g)!
        for (const selector of selectors)
          expect([title, selector]).toEqual([title, expect.stringContaining('{job=~"$job",instance=~"$instance"')])
      }
  })

  test('variables that are used are those that exist, beside those of Grafana', async () => {
    const text = await readFile(`${monitoringDir}grafana-dashboard.json`, 'utf8')
    const used = new Set([...text.matchAll(/\$\{?(\w+)/g)].map(([, name]) => name))
    expect([...used].sort()).toEqual(['__all', '__rate_interval', 'datasource', 'instance', 'job'])
    expect(dashboard.uid).toBe('burrow')
    expect(dashboard).not.toHaveProperty('id')
    expect(dashboard).not.toHaveProperty('__requires')
  })

  withPromtool('Prometheus parses every query', async () => {
    await using dir = await createScratchDir()
    const rules = listQueries(dashboard).map(({ expr }, index) => ({ record: `query:${index}`, expr }))
    await writeFile(dir.file('queries.json'), JSON.stringify({ groups: [{ name: 'dashboard', rules }] }))
    expect(await promtool(['check', 'rules', 'queries.json'], dir.path)).toContain(`${rules.length} rules found`)
  })
})

describe('alerts.yml', () => {
  test('every alert has a time, a severity, a summary that names the machine, and what to do', async () => {
    const page = await readFile(new URL('../../docs/monitoring.md', import.meta.url), 'utf8')
    const headings = [...page.matchAll(/^#+ (.*)$/gm)].map(([, title]) => title!.toLowerCase())
    const rules = readRules()
    expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length)
    for (const { alert, for: time, labels, annotations } of rules) {
      expect([alert, time]).toEqual([alert, expect.stringMatching(/^\d+[mh]$/)])
      expect(['critical', 'warning']).toContain(labels.severity)
      if (alert !== 'BurrowNotScraped') expect(annotations.summary).toContain('{{ $labels.instance }}')
      // The anchor of a heading is its text in lower case.
      expect([alert, annotations.description]).toEqual([
        alert,
        expect.stringMatching(new RegExp(`See docs/monitoring\\.md#${alert.toLowerCase()}\\.$`)),
      ])
      expect(headings).toContain(alert.toLowerCase())
    }
  })

  withPromtool('Prometheus loads the rules, and they fire when they should and not otherwise', async () => {
    expect(await promtool(['check', 'rules', 'alerts.yml'], monitoringDir)).toContain('SUCCESS')
    await promtool(['test', 'rules', 'alerts.test.yml'], new URL('.', import.meta.url).pathname)
  })
})

function overlap({ gridPos: a }: Panel, { gridPos: b }: Panel): boolean {
  return a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h
}
