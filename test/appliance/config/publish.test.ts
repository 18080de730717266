/** The setting "publish" as the cache gets it. */
import { expect, test } from '@jest/globals'

import { loadConfig, loadLocations } from '../../../appliance/config/load-config.ts'
import { writeConfig } from '../burrow.ts'
import { createScratchDir } from '../scratch-dir.ts'

async function load(publish: object | undefined) {
  await using dir = await createScratchDir()
  await writeConfig(dir, { users: ['ben:long secret'], ...(publish && { publish }) })
  const machine = { env: {}, workingDir: dir.path, homeDir: dir.path }
  const { publish: loaded } = loadConfig({ machine, file: 'burrow.json' }).config
  expect(loadLocations({ machine, file: 'burrow.json' }).publish).toEqual(loaded)
  return { loaded, dir: dir.path }
}

test.each([
  ['nothing', undefined],
  ['no rules', {}],
  ['no denied names', { names: {} }],
  ['an empty list of denied names', { names: { deny: [] } }],
])('%s leaves the store as it is', async (_what, publish) => {
  expect((await load(publish)).loaded).toBeUndefined()
})

test('roots are absolute, and what is not given is no rule', async () => {
  const { loaded, dir } = await load({ roots: ['result', '/nix/var/nix/profiles/system'] })
  expect(loaded).toEqual({
    roots: [`${dir}/result`, '/nix/var/nix/profiles/system'],
    deny: [],
    signedBy: undefined,
  })
})
