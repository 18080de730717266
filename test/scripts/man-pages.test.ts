import { spawnSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from '@jest/globals'

import { exitCodes } from '../../appliance/complaint.ts'
import { formatCommandPage } from '../../scripts/command-page.ts'
import { formatConfigPage } from '../../scripts/config-page.ts'
import { escapeRoff, parseHelpText } from '../../scripts/roff.ts'

const fileOf = (name: string) => fileURLToPath(new URL(`../../man/${name}`, import.meta.url))
const hasGroff = spawnSync('groff', ['--version']).status === 0
const testWithGroff = hasGroff ? test : test.skip
if (!hasGroff) process.stderr.write('Skipping tests: there is no groff on PATH (Debian: apt-get install groff-base)\n')

test.each([
  ['burrow.8', formatCommandPage],
  ['burrow.json.5', formatConfigPage],
])('man/%s is what the program says (npm run man)', async (name, format) => {
  expect(await readFile(fileOf(name), 'utf8')).toBe(format())
})

describe('burrow.8', () => {
  const page = formatCommandPage()

  test('it has every section, and every exit code', () => {
    const titles = page.match(/(?<=^\.SH ).*$/gm)
    expect(titles).toEqual(
      'NAME,SYNOPSIS,DESCRIPTION,OPTIONS,COMMANDS,EXIT STATUS,SIGNALS,ENVIRONMENT,FILES,EXAMPLES,SEE ALSO'.split(','),
    )
    const codes = page
      .split('.SH EXIT STATUS')[1]!
      .split('.SH ')[0]!
      .match(/(?<=^\.TP\n\\fB)\d+/gm)
    expect(codes?.map(Number)).toEqual(Object.values(exitCodes))
  })

  test('it tells of each signal', () => {
    const signals = page.split('.SH SIGNALS')[1]!.split('.SH ')[0]!
    for (const name of ['SIGHUP', 'SIGTERM', 'SIGINT']) expect(signals).toContain(name)
  })
})

test('burrow.json.5 has every setting, those of users and of the tunnel too', () => {
  const page = formatConfigPage()
  for (const name of ['listen', 'users[].passwordHash', 'tunnel.mode', 'larder.maxBytes', 'limits.stallSeconds'])
    expect(page).toContain(`\\fB${name}\\fR`)
})

testWithGroff.each(['burrow.8', 'burrow.json.5'])('groff reads man/%s without a warning', (name) => {
  const { status, stderr, stdout } = spawnSync('groff', ['-man', '-Tutf8', '-ww', fileOf(name)], { encoding: 'utf8' })
  expect([status, stderr]).toEqual([0, ''])
  expect(stdout.length).toBeGreaterThan(1000)
})

test('escapeRoff keeps what looks like a request, a quote or an escape from being one', () => {
  expect(escapeRoff(".so x\n'y \\n --flag")).toBe('\\&.so x\n\\(aqy \\en \\-\\-flag')
})

test('parseHelpText parts prose, lines and examples', () => {
  expect(parseHelpText('\nOne\nparagraph:\n  a list\n\n  burrow serve\n')).toEqual({
    blocks: [{ prose: 'One paragraph:' }, { lines: ['a list'] }],
    examples: ['burrow serve'],
  })
})
