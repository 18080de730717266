import { chmod, chown, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { inspect } from 'node:util'
import { describe, expect, test } from '@jest/globals'

import type { Complaint } from '../../appliance/complaint.ts'
import { createPrivateFile, readOrCreatePrivateFile, replacePrivateFile } from '../../appliance/state/private-files.ts'
import { findState, openState } from '../../appliance/state/state.ts'
import { createKeyName, createPassword } from '../../appliance/users/random-text.ts'
import { silentLog } from '../../src/index.ts'
import { createScratchDir } from './scratch-dir.ts'

const userId = process.geteuid!()
const isRoot = userId === 0
const open = (dir: string) => openState({ dir, userId, log: silentLog })
const modeOf = async (file: string) => (await stat(file)).mode & 0o777

async function complaintOf(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => undefined,
    (thrown: Complaint) => thrown,
  )
  expect(error?.code).toBe('state')
  return error!.message
}

describe('openState', () => {
  test('openState makes the directory and everything in it private', async () => {
    await using dir = await createScratchDir()
    const state = await open(dir.file('a/b'))
    await state.ensureUser()
    await state.ensureSecretKey(() => 'x-1:AAAA')
    expect(
      await Promise.all(['a', 'a/b', 'a/b/secret-key', 'a/b/state.json'].map((name) => modeOf(dir.file(name)))),
    ).toEqual([0o700, 0o700, 0o600, 0o600])
    expect(await readdir(state.dir)).toEqual(['secret-key', 'state.json'])
  })

  test('openState gives the same key and user at the second start', async () => {
    await using dir = await createScratchDir()
    const first = await open(dir.path)
    const [user, key] = [await first.ensureUser(), await first.ensureSecretKey(() => 'x-1:AAAA')]
    expect(key).toMatchObject({ text: 'x-1:AAAA\n', isNew: true })
    const second = await open(dir.path)
    expect(await second.ensureUser()).toEqual(user)
    expect(await second.ensureSecretKey(() => 'y-1:BBBB')).toMatchObject({ text: key.text, isNew: false })
    expect(await second.findUser()).toEqual(user)
  })

  test('openState of many first starts at once agrees on one key and one user', async () => {
    await using dir = await createScratchDir()
    const states = await Promise.all(Array.from({ length: 20 }, () => open(dir.file('state'))))
    const users = await Promise.all(states.map((state) => state.ensureUser()))
    const keys = await Promise.all(states.map((state, index) => state.ensureSecretKey(() => `x-${index}:AAAA`)))
    expect(new Set(users.map(({ password }) => password)).size).toBe(1)
    expect(new Set(keys.map(({ text }) => text)).size).toBe(1)
    expect(keys.filter(({ isNew }) => isNew)).toHaveLength(1)
    expect(await readdir(dir.file('state'))).toEqual(['secret-key', 'state.json'])
  })

  test.each(['{"version": 1, "user": {"na', '', 'null', '{"version": 2}', '{"version": 1, "user": {"name": "x"}}'])(
    'openState refuses a damaged state file (%j), leaves it as it is, and names the remedy',
    async (damaged) => {
      await using dir = await createScratchDir()
      await writeFile(dir.file('state.json'), damaged, { mode: 0o600 })
      await chmod(dir.path, 0o700)
      const refusal = { code: 'state', message: expect.stringMatching(/state\.json": .*restore it .*or move it away/) }
      await expect(open(dir.path)).rejects.toMatchObject(refusal)
      const state = await findState({ dir: dir.path, userId, log: silentLog })
      await expect(state!.findTunnelFacts()).rejects.toMatchObject(refusal)
      expect(await readdir(dir.path)).toEqual(['state.json'])
      expect(await readFile(dir.file('state.json'), 'utf8')).toBe(damaged)
    },
  )

  test('the refusal of a damaged state file does not quote it', async () => {
    await using dir = await createScratchDir()
    await writeFile(dir.file('state.json'), '{"user": {"password": hunter2}}', { mode: 0o600 })
    await chmod(dir.path, 0o700)
    const refusal: unknown = await open(dir.path).catch((error: unknown) => error)
    expect(inspect(refusal)).toContain('damaged')
    expect(inspect(refusal)).not.toContain('hunter2')
  })

  test('openState keeps what a later version wrote beside the user', async () => {
    await using dir = await createScratchDir()
    await writeFile(dir.file('state.json'), '{"version": 1, "tunnel": {"id": "x"}}', { mode: 0o600 })
    const user = await (await open(dir.path)).ensureUser()
    expect(JSON.parse(await readFile(dir.file('state.json'), 'utf8'))).toEqual({
      version: 1,
      tunnel: { id: 'x' },
      user,
    })
  })

  test('the state file is read again before each change, so several processes lose nothing of each other', async () => {
    await using dir = await createScratchDir()
    const [one, other] = [await open(dir.path), await open(dir.path)]
    const user = await one.ensureUser()
    await (await other.openTunnelMemory()).remember({ hostname: 'a.example.org' })
    await (await one.openTunnelMemory()).remember({ tunnelId: 'x' })
    expect(JSON.parse(await readFile(dir.file('state.json'), 'utf8'))).toEqual({
      version: 1,
      user,
      tunnel: { hostname: 'a.example.org', tunnelId: 'x' },
    })
  })

  test('openState writes no state file that would hold the same', async () => {
    await using dir = await createScratchDir()
    await (await open(dir.path)).ensureUser()
    const { ino } = await stat(dir.file('state.json'))
    await (await open(dir.path)).ensureUser()
    expect((await stat(dir.file('state.json'))).ino).toBe(ino)
  })

  test('openState makes an open directory without secrets private', async () => {
    await using dir = await createScratchDir()
    await mkdir(dir.file('state'))
    await chmod(dir.file('state'), 0o755)
    await open(dir.file('state'))
    expect(await modeOf(dir.file('state'))).toBe(0o700)
  })

  test.each(['secret-key', 'state.json'])('openState refuses an open directory with %s in it', async (name) => {
    await using dir = await createScratchDir()
    await writeFile(dir.file(name), 'x', { mode: 0o600 })
    await chmod(dir.path, 0o750)
    expect(await complaintOf(open(dir.path))).toMatch(/mode 0750.*run "chmod 700 .*StateDirectoryMode=0700/)
  })

  test('openState refuses a key file that others can read', async () => {
    await using dir = await createScratchDir()
    await writeFile(dir.file('secret-key'), 'x-1:AAAA')
    await chmod(dir.file('secret-key'), 0o640)
    const state = await open(dir.path)
    expect(await complaintOf(state.ensureSecretKey(() => ''))).toMatch(/chmod 600/)
    expect(await complaintOf(state.findSecretKey())).toMatch(/chmod 600/)
  })

  test('openState refuses what is no directory, and says what to do', async () => {
    await using dir = await createScratchDir()
    await writeFile(dir.file('file'), '')
    expect(await complaintOf(open(dir.file('file/state')))).toMatch(
      /Cannot create state directory .*not a directory.*"state"/,
    )
    expect(await complaintOf(open(dir.file('file')))).toMatch(/Cannot create state directory/)
  })

  const whenRoot = isRoot ? test : test.skip
  whenRoot('openState refuses the directory of another user', async () => {
    await using dir = await createScratchDir()
    await chown(dir.path, 12345, 12345)
    expect(await complaintOf(open(dir.path))).toMatch(/belongs to user 12345/)
    await chown(dir.path, userId, userId)
  })

  test('findState looks without making anything', async () => {
    await using dir = await createScratchDir()
    expect(await findState({ dir: dir.file('none'), userId, log: silentLog })).toBeUndefined()
    const state = await findState({ dir: dir.path, userId, log: silentLog })
    expect([await state!.findUser(), await state!.findSecretKey(), await readdir(dir.path)]).toEqual([
      undefined,
      undefined,
      [],
    ])
  })
})

describe('private files', () => {
  test('createPrivateFile leaves an existing file alone', async () => {
    await using dir = await createScratchDir()
    expect([
      await createPrivateFile(dir.file('a'), 'one'),
      await createPrivateFile(dir.file('a'), 'two'),
      await readFile(dir.file('a'), 'utf8'),
    ]).toEqual([true, false, 'one'])
    expect(await readOrCreatePrivateFile(dir.file('a'), () => 'three')).toEqual({ text: 'one', isNew: false })
    expect(await readdir(dir.path)).toEqual(['a'])
  })

  test('replacePrivateFile replaces it whole, whatever its mode was', async () => {
    await using dir = await createScratchDir()
    await writeFile(dir.file('a'), 'old')
    await chmod(dir.file('a'), 0o644)
    await replacePrivateFile(dir.file('a'), 'new')
    expect([await readFile(dir.file('a'), 'utf8'), await modeOf(dir.file('a')), await readdir(dir.path)]).toEqual([
      'new',
      0o600,
      ['a'],
    ])
  })
})

test('createPassword makes 32 letters and digits, never twice the same', () => {
  const passwords = Array.from({ length: 100 }, createPassword)
  expect(passwords.every((password) => /^[A-Za-z0-9]{32}$/.test(password)) && new Set(passwords).size === 100).toBe(
    true,
  )
})

test.each([
  ['nas.example.org', /^burrow-nas-[a-z0-9]{6}-1$/],
  ['Büro Box:1', /^burrow-brobox1-[a-z0-9]{6}-1$/],
  ['', /^burrow-[a-z0-9]{6}-1$/],
])('createKeyName makes a key name of host name %j', (host, wanted) => expect(createKeyName(host)).toMatch(wanted))
