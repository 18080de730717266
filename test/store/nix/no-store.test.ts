import { expect, test } from '@jest/globals'

import { StoreDatabase } from '../../../src/store/nix/database.ts'
import { createScratchDir } from '../../appliance/scratch-dir.ts'

test('a machine without a Nix store is told calmly, and once', async () => {
  await using dir = await createScratchDir()
  const lines: string[] = []
  const write = (level: string) => (_fields: object, message: string) => void lines.push(`${level} ${message}`)
  const log = { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') }
  const options = { file: dir.file('db.sqlite'), log, now: () => 0 } as unknown as ConstructorParameters<
    typeof StoreDatabase
  >[0]
  using database = new StoreDatabase(options)
  for (let times = 0; times < 2; times++) expect(() => database.generation()).toThrow('there is no such file')
  expect(lines).toEqual([expect.stringMatching(/^warn There is no Nix store on this machine yet: .*Install Nix/)])
})
