/** The questions at a real terminal: script(1) of util-linux gives it one. */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { describe, expect, test } from '@jest/globals'

import { goodToken } from '../../fixtures/cloudflare-account.ts'
import { type CloudflareApiFake, startCloudflareApi } from '../../fixtures/cloudflare-api.ts'
import type { ScratchDir } from '../scratch-dir.ts'
import { createBurrowDir, hostname, program } from './tunnel-program.ts'

const hasScript = existsSync('/usr/bin/script') && process.platform === 'linux'

/** Types each answer when its prompt is there; resolves to all that the terminal showed. */
async function typeAt(
  answers: readonly (readonly [prompt: string, keys: string])[],
  { dir, api }: { dir: ScratchDir; api: CloudflareApiFake },
) {
  const command = `'${process.execPath}' --disable-warning=ExperimentalWarning '${program}' tunnel setup --hostname ${hostname}; echo "code=$?"; stty -a | grep -o -- '-\\?echo\\b'`
  const child = spawn('/usr/bin/script', ['--quiet', '--command', command, '/dev/null'], {
    cwd: dir.path,
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { PATH: process.env.PATH, HOME: dir.path, SHELL: '/bin/sh', CLOUDFLARE_API_BASE_URL: api.url, TERM: 'dumb' },
  })
  const waiting = [...answers]
  let shown = ''
  let seen = 0
  child.stdout.setEncoding('utf8')
  for await (const chunk of child.stdout) {
    shown += chunk
    const [next] = waiting
    const found = next === undefined ? -1 : shown.indexOf(next[0], seen)
    if (next !== undefined && found >= 0) {
      seen = found + next[0].length
      waiting.shift()
      child.stdin.write(next[1])
    }
  }
  return { shown, code: Number(/code=(\d+)/.exec(shown)?.[1]) }
}

const whenPossible = hasScript ? describe : describe.skip

whenPossible('burrow tunnel setup at a terminal', () => {
  test('setup asks for the token without showing it, shows the plan and asks', async () => {
    await using api = await startCloudflareApi()
    await using dir = await createBurrowDir()
    const { shown, code } = await typeAt(
      [
        ['API token:', `${goodToken}\r`],
        ['(y/N)', 'y\r'],
      ],
      { dir, api },
    )
    expect(code).toBe(0)
    expect(shown).not.toContain(goodToken)
    expect(shown).toMatch(/create +tunnel[\s\S]*Continue\?[\s\S]*leads here/)
    expect(shown).toMatch(/\r\necho\r\n/)
    expect(api.account.tunnels).toHaveLength(1)
  })

  test.each([
    ['n', 'n\r', 1],
    ['nothing', '\r', 1],
    ['Ctrl-C', '\u0003', 130],
    ['the end of input', '\u0004', 1],
  ])('setup changes nothing when %s is the answer', async (_what, keys, wanted) => {
    await using api = await startCloudflareApi()
    await using dir = await createBurrowDir()
    const { shown, code } = await typeAt(
      [
        ['API token:', `${goodToken}\r`],
        ['(y/N)', keys],
      ],
      { dir, api },
    )
    expect(code).toBe(wanted)
    expect(shown).toContain('othing was changed')
    expect(shown).toMatch(/\r\necho\r\n/)
    expect(api.changes()).toEqual([])
  })
})
