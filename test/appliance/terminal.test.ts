/** hash-password at a real terminal: script(1) of util-linux gives it one. */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from '@jest/globals'
import sodium from 'sodium-native'

const main = fileURLToPath(new URL('../../appliance/program.ts', import.meta.url))
const hasScript = existsSync('/usr/bin/script') && process.platform === 'linux'

/** Types each answer when its prompt is there; resolves to all that the terminal showed. */
async function typeAt(
  answers: readonly (readonly [prompt: string, keys: string])[],
): Promise<{ shown: string; code: number | null }> {
  const command = `'${process.execPath}' --disable-warning=ExperimentalWarning '${main}' hash-password; echo "code=$?"; stty -a | grep -o -- '-\\?echo\\b'`
  const child = spawn('/usr/bin/script', ['--quiet', '--command', command, '/dev/null'], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { PATH: process.env.PATH, SHELL: '/bin/sh' },
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
  const code = /code=(\d+)/.exec(shown)?.[1]
  return { shown, code: code === undefined ? null : Number(code) }
}

const whenPossible = hasScript ? describe : describe.skip

whenPossible('hash-password at a terminal', () => {
  test('hash-password asks twice, shows nothing of it, and leaves the terminal as it was', async () => {
    const { shown, code } = await typeAt([
      ['Password:', 'hunterX\u007f2\r'],
      ['Repeat the password:', 'hunter2\r'],
    ])
    expect(code).toBe(0)
    expect(shown).not.toMatch(/hunter/)
    expect(shown).toMatch(/\r\necho\r\n/)
    const padded = Buffer.alloc(sodium.crypto_pwhash_STRBYTES)
    padded.write(/\$argon2id\$\S+/.exec(shown)![0])
    expect(sodium.crypto_pwhash_str_verify(padded, Buffer.from('hunter2'))).toBe(true)
  })

  test('hash-password refuses two different passwords', async () => {
    const { shown, code } = await typeAt([
      ['Password:', 'one\r'],
      ['Repeat the password:', 'two\r'],
    ])
    expect(shown).toContain('The passwords do not match')
    expect(code).toBe(1)
  })

  test('hash-password ends with 130 on Ctrl-C and leaves the terminal as it was', async () => {
    const { shown, code } = await typeAt([['Password:', 'sec\u0003']])
    expect(code).toBe(130)
    expect(shown).toMatch(/\r\necho\r\n/)
  })

  test('hash-password ends with a message when the input ends with Ctrl-D', async () => {
    const { shown, code } = await typeAt([['Password:', '\u0004']])
    expect(shown).toContain('No answer was given')
    expect(code).toBe(1)
    expect(shown).toMatch(/\r\necho\r\n/)
  })
})
