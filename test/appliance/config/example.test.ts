import { readFile } from 'node:fs/promises'
import { expect, test } from '@jest/globals'

import { checkConfigWithoutEnv, loadConfig } from '../../../appliance/config/load-config.ts'
import { toJsonSchema } from '../../../appliance/config/schema.ts'
import { defaultLimits } from '../../../src/index.ts'

const read = async (name: string) => readFile(new URL(`../../../${name}`, import.meta.url), 'utf8')
const machine = {
  env: { CI_PASSWORD: 'x', GUEST_PASSWORD: 'y' },
  workingDir: new URL('../../..', import.meta.url).pathname,
  homeDir: '/home/ana',
}

test('config.schema.json is what the settings say (npm run schema)', async () => {
  expect(JSON.parse(await read('config.schema.json'))).toEqual(JSON.parse(JSON.stringify(toJsonSchema())))
})

test('config.example.json can be loaded, with its variables set and without', () => {
  expect(loadConfig({ machine, file: 'config.example.json' }).config.file).toMatch(/config\.example\.json$/)
  expect(() => checkConfigWithoutEnv({ machine, file: 'config.example.json' })).not.toThrow()
})

/** Of these only one can be given at once. */
const besideTokenFile = ['token', 'credentialsFile']

test('config.example.json shows every setting', async () => {
  const shown = [...namesIn(JSON.parse(await read('config.example.json'))), ...besideTokenFile]
  expect(shown).toEqual(expect.arrayContaining(settingsIn(toJsonSchema() as Node)))
})

test('every setting has a description', () => {
  expect(undescribed(toJsonSchema() as Node, '')).toEqual([])
})

test('limits have the defaults of the cache itself', () => {
  expect(loadConfig({ machine: { ...machine, workingDir: '/' } }).config.limits).toEqual(defaultLimits)
})

interface Node {
  description?: string
  properties?: Record<string, Node>
  items?: Node
  anyOf?: Node[]
}

function childrenOf(node: Node): [string, Node][] {
  const forms = [node, ...(node.anyOf ?? []), ...(node.items?.anyOf ?? [])]
  return forms.flatMap((form) => Object.entries(form.properties ?? {}))
}

function settingsIn(node: Node): string[] {
  return childrenOf(node).flatMap(([name, child]) => [name, ...settingsIn(child)])
}

function undescribed(node: Node, path: string): string[] {
  return childrenOf(node).flatMap(([name, child]) => [
    ...(child.description === undefined && name !== 'type' ? [`${path}/${name}`] : []),
    ...undescribed(child, `${path}/${name}`),
  ])
}

function namesIn(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([name, child]) => [name, ...namesIn(child)])
}
