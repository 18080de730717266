import { readFile, stat, writeFile } from 'node:fs/promises'
import { describe, expect, test } from '@jest/globals'
import type { PrivateDocument } from '../../../appliance/state/private-document.ts'
import { replacePrivateFile } from '../../../appliance/state/private-files.ts'
import { mergeUsers } from '../../../appliance/users/merge-users.ts'
import { type OpenTeam, openTeam } from '../../../appliance/users/team.ts'
import { createTeamDocument, type TeamContent } from '../../../appliance/users/team-document.ts'
import type { TeamConfig } from '../../../appliance/users/team-ledger.ts'
import { type Access, isRefusal, silentLog, type User } from '../../../src/index.ts'
import { createScratchDir, type ScratchDir } from '../scratch-dir.ts'

const hour = 3_600_000

interface Bench {
  readonly team: OpenTeam
  readonly file: string
  config: TeamConfig
  nowMs: number
  changes: number
}

async function openBench(dir: ScratchDir, document?: PrivateDocument<TeamContent>): Promise<Bench> {
  const file = dir.file('users.json')
  const bench = {
    file,
    config: {
      users: [{ name: 'ana', access: ['admin'] }],
      source: 'config',
      isMutable: true,
      hasDepot: true,
    } as TeamConfig,
    nowMs: Date.parse('2030-01-01T00:00:00Z'),
    changes: 0,
  }
  const team = await openTeam({
    document: document ?? createTeamDocument(file),
    config: () => bench.config,
    readActivity: () => () => undefined,
    now: () => new Date(bench.nowMs),
    log: silentLog,
    onChange: () => void bench.changes++,
  })
  return Object.assign(bench, { team })
}

const add = (
  team: OpenTeam,
  name: string,
  options: { access?: readonly Access[]; expires?: Date; password?: string } = {},
) => team.add({ name, access: ['pull'], expires: undefined, password: undefined, by: 'ana', ...options })
const invite = (team: OpenTeam, name: string, validMs?: number) =>
  team.invite({ name, access: ['pull'], userExpires: undefined, validMs }, 'ana')

async function reasonOf(outcome: Promise<object>): Promise<string> {
  const result = await outcome
  return isRefusal(result) ? result.reason : 'not refused'
}

describe('the users file', () => {
  test('the user that Burrow made is not said to be in a config', async () => {
    await using dir = await createScratchDir()
    const bench = await openBench(dir)
    bench.config = { ...bench.config, source: 'generated' }
    expect(await reasonOf(add(bench.team, 'ana'))).toBe(
      'There is a user "ana" already, which Burrow made at its first start; choose another name',
    )
    expect(await reasonOf(bench.team.remove('ana', 'operator'))).toMatch(
      /^Cannot change user "ana", which Burrow made at its first start; .* write a config with "users": \[\]/,
    )
  })

  test('it is private and holds neither passwords nor tokens', async () => {
    await using dir = await createScratchDir()
    const { team, file } = await openBench(dir)
    const ben = await add(team, 'ben')
    const issued = await invite(team, 'cleo')
    if (isRefusal(ben) || isRefusal(issued)) throw new Error('refused')
    const text = await readFile(file, 'utf8')
    expect((await stat(file)).mode & 0o777).toBe(0o600)
    expect(text).not.toContain(ben.password)
    expect(text).not.toContain(issued.token)
    expect(JSON.parse(text)).toMatchObject({
      version: 1,
      users: [{ name: 'ben', passwordHash: expect.stringMatching(/^\$argon2id\$/), access: ['pull'], addedBy: 'ana' }],
      invitations: [{ name: 'cleo', tokenHash: expect.stringMatching(/^[0-9a-f]{64}$/) }],
    })
    expect(ben.password).toMatch(/^[A-Za-z0-9]{32}$/)
    expect(issued.token).toMatch(/^[A-Za-z0-9_-]{43}$/)
  })

  test('it keeps the keys of a later version', async () => {
    await using dir = await createScratchDir()
    const { team, file } = await openBench(dir)
    await add(team, 'ben')
    const content = JSON.parse(await readFile(file, 'utf8'))
    content.groups = ['a']
    content.users[0].colour = 'blue'
    await replacePrivateFile(file, JSON.stringify(content))
    await add(team, 'cleo')
    expect(JSON.parse(await readFile(file, 'utf8'))).toMatchObject({ groups: ['a'], users: [{ colour: 'blue' }, {}] })
  })

  test.each([
    '{"version":1,"users":[',
    '{"version":2,"users":[],"invitations":[]}',
    '{"version":1,"users":[{"name":"x"}],"invitations":[]}',
    '',
  ])('a damaged one (%j) is refused, named, and left as it is', async (damaged) => {
    await using dir = await createScratchDir()
    await writeFile(dir.file('users.json'), damaged)
    await expect(openBench(dir)).rejects.toMatchObject({
      code: 'state',
      message: expect.stringMatching(/users\.json": it is damaged .*restore it from a backup, or move it away/),
    })
    expect(await readFile(dir.file('users.json'), 'utf8')).toBe(damaged)
  })

  test('a change that cannot be written changes nothing', async () => {
    await using dir = await createScratchDir()
    const real = createTeamDocument(dir.file('users.json'))
    let isFull = false
    const document: PrivateDocument<TeamContent> = {
      find: real.find,
      update: (change) =>
        real.update((content) => {
          change(content)
          if (isFull) throw Object.assign(new Error('full'), { code: 'ENOSPC' })
        }),
    }
    const { team } = await openBench(dir, document)
    await add(team, 'ben')
    isFull = true
    await expect(team.remove('ben', 'ana')).rejects.toMatchObject({
      code: 'state',
      message: 'Cannot store the change of users: the disk is full; nothing was changed',
    })
    expect(team.added.map(({ name }) => name)).toEqual(['ben'])
    isFull = false
    expect(await team.remove('ben', 'ana')).toMatchObject({ name: 'ben' })
    expect(team.added).toEqual([])
  })
})

describe('users', () => {
  test('a change is in force when it resolves, and there at the next start', async () => {
    await using dir = await createScratchDir()
    const bench = await openBench(dir)
    const { team } = bench
    const expires = new Date(bench.nowMs + hour)
    expect(await add(team, 'ben', { access: ['push', 'pull'], expires })).toMatchObject({
      access: ['pull', 'push'],
      expires,
    })
    expect(bench.changes).toBe(1)
    await team.changeAccess('ben', ['admin'], 'ana')
    await team.changeExpiry('ben', undefined, 'ana')
    const old = team.added[0]!.secret
    await team.changePassword('ben', 'a long password', 'ana')
    expect(team.added[0]!.secret).not.toEqual(old)
    const again = await openBench(dir)
    expect(again.team.added).toEqual(team.added)
    expect(again.team.users()).toMatchObject([
      { name: 'ana', source: 'config', isChangeable: false },
      { name: 'ben', source: 'added', access: ['admin'], expires: undefined, isChangeable: true },
    ])
  })

  test('many changes at once are all made', async () => {
    await using dir = await createScratchDir()
    const { team, file } = await openBench(dir)
    const names = Array.from({ length: 12 }, (_, index) => `u${index}`)
    await Promise.all(names.map((name) => add(team, name)))
    await Promise.all(names.map((name, index) => (index % 2 === 0 ? team.remove(name, 'ana') : undefined)))
    const kept = names.filter((_, index) => index % 2 === 1)
    expect(team.added.map(({ name }) => name).sort()).toEqual(kept.sort())
    expect(JSON.parse(await readFile(file, 'utf8')).users).toHaveLength(6)
  })

  test.each([
    ['a name of the config', 'ana', {}, /user "ana" in the config already/],
    ['a name that is taken', 'ben', {}, /user "ben" already/],
    ['an empty name', '', {}, /Cannot use the name/],
    ['a colon', 'a:b', {}, /Cannot use the name "a:b": it must have/],
    ['markup', '<img src=x>', {}, /Cannot use the name/],
    ['another line', 'a\nmachine x', {}, /Cannot use the name/],
    ['an option', '--help', {}, /Cannot use the name/],
    ['a long name', 'a'.repeat(65), {}, /Cannot use the name/],
    ['a short password', 'cleo', { password: 'short' }, /fewer than 8 characters/],
    ['a hash as password', 'cleo', { password: '$argon2id$v=19$m=1' }, /is an argon2id hash/],
    ['no access', 'cleo', { access: [] }, /Cannot change the access to nothing/],
    ['an expiry in the past', 'cleo', { expires: new Date(0) }, /has passed/],
  ])('add refuses %s', async (_what, name, options, message) => {
    await using dir = await createScratchDir()
    const { team } = await openBench(dir)
    await add(team, 'ben')
    expect(await reasonOf(add(team, name, options))).toMatch(message)
    expect(team.added.map((user) => user.name)).toEqual(['ben'])
  })

  test('push is refused without a depot, and everything on a public cache or with "mutableUsers": false', async () => {
    await using dir = await createScratchDir()
    const bench = await openBench(dir)
    const { team } = bench
    await add(team, 'ben')
    const issued = await invite(team, 'cleo')
    if (isRefusal(issued)) throw new Error(issued.reason)
    bench.config = { ...bench.config, hasDepot: false }
    expect(await reasonOf(team.changeAccess('ben', ['push'], 'ana'))).toMatch(/no depot; set "depot": true/)
    bench.config = { ...bench.config, isMutable: false }
    expect(await reasonOf(add(team, 'dan'))).toMatch(/"mutableUsers" is false/)
    expect(team.added).toEqual([])
    bench.config = { ...bench.config, isMutable: true, users: undefined }
    expect(await reasonOf(team.remove('ben', 'ana'))).toMatch(/This cache is public/)
    expect(team.findInvitation(issued.token)).toBeUndefined()
    expect(await team.accept(issued.token)).toBeUndefined()
  })

  test('a user of the config wins by name; the added one can still be removed', async () => {
    await using dir = await createScratchDir()
    const bench = await openBench(dir)
    const { team } = bench
    await add(team, 'ben')
    const ofConfig: User = { name: 'ben', secret: { kind: 'plain', password: 'x' }, access: new Set(['push']) }
    bench.config = { ...bench.config, users: [ofConfig] }
    expect(mergeUsers([ofConfig], team.added)).toEqual([ofConfig])
    expect(team.shadowed).toEqual(['ben'])
    expect(team.users()).toMatchObject([{ name: 'ben', source: 'config', isChangeable: false }])
    expect(await team.remove('ben', 'ana')).toMatchObject({ name: 'ben', source: 'added' })
    expect(await reasonOf(team.remove('ben', 'ana'))).toMatch(/it is a user of the config; change it there/)
  })
})

describe('invitations', () => {
  test('one is accepted once, whatever happens at the same time', async () => {
    await using dir = await createScratchDir()
    const bench = await openBench(dir)
    const { team } = bench
    const issued = await team.invite(
      { name: 'ben', access: ['pull', 'push'], userExpires: new Date(bench.nowMs + 90 * 24 * hour), validMs: hour },
      'ana',
    )
    if (isRefusal(issued)) throw new Error(issued.reason)
    expect(team.findInvitation(issued.token)).toMatchObject({ name: 'ben', createdBy: 'ana', state: 'open' })
    const outcomes = await Promise.all(Array.from({ length: 8 }, () => team.accept(issued.token)))
    const winners = outcomes.filter((user) => user !== undefined)
    expect(winners).toMatchObject([
      { name: 'ben', access: ['pull', 'push'], expires: new Date(bench.nowMs + 90 * 24 * hour) },
    ])
    expect(team.findInvitation(issued.token)).toBeUndefined()
    expect(team.users()).toMatchObject([{ name: 'ana' }, { name: 'ben', source: 'invited', addedBy: 'ana' }])
    expect(team.invitations()).toMatchObject([{ name: 'ben', state: 'used', used: new Date(bench.nowMs) }])
    const again = await openBench(dir)
    expect(await again.team.accept(issued.token)).toBeUndefined()
  })

  test('one that has expired, was revoked, or whose name was taken meanwhile, cannot be accepted', async () => {
    await using dir = await createScratchDir()
    const bench = await openBench(dir)
    const { team } = bench
    const tokens: Record<string, string> = {}
    for (const name of ['expired', 'revoked', 'taken', 'in-config']) {
      const issued = await invite(team, name, hour)
      if (isRefusal(issued)) throw new Error(issued.reason)
      tokens[name] = issued.token
      if (name === 'revoked') await team.revoke(issued.invitation.id, 'ana')
    }
    await add(team, 'taken')
    bench.config = { ...bench.config, users: [{ name: 'in-config', access: ['pull'] }] }
    expect(team.findInvitation(tokens.expired!)).toBeDefined()
    bench.nowMs += hour
    for (const token of [...Object.values(tokens), '', 'x', 'A'.repeat(43), 'ü'.repeat(43)]) {
      expect(team.findInvitation(token)).toBeUndefined()
      expect(await team.accept(token)).toBeUndefined()
    }
    expect(team.added.map(({ name }) => name)).toEqual(['taken'])
    expect(
      team
        .invitations()
        .map(({ name, state }) => `${name} ${state}`)
        .sort(),
    ).toEqual(['expired expired', 'in-config expired'])
  })

  test('invite refuses a name that exists, a second invitation for it, and a validity that is none', async () => {
    await using dir = await createScratchDir()
    const { team } = await openBench(dir)
    await add(team, 'ben')
    expect(await reasonOf(invite(team, 'ben'))).toMatch(/user "ben" already/)
    expect(await reasonOf(invite(team, 'ana'))).toMatch(/"ana" in the config/)
    expect(await reasonOf(invite(team, 'cleo', 1))).toMatch(/one minute to 90 days/)
    expect(await reasonOf(invite(team, 'cleo'))).toBe('not refused')
    expect(await reasonOf(invite(team, 'cleo'))).toMatch(/open invitation for "cleo" already; revoke it first/)
    expect(await reasonOf(team.revoke('none', 'ana'))).toMatch(/no such invitation/)
  })

  test('used and expired ones are listed for 30 days', async () => {
    await using dir = await createScratchDir()
    const bench = await openBench(dir)
    await invite(bench.team, 'cleo', hour)
    bench.nowMs += 30 * 24 * hour
    expect(bench.team.invitations()).toHaveLength(1)
    bench.nowMs += 2 * hour
    expect(bench.team.invitations()).toEqual([])
    await add(bench.team, 'ben')
    expect(JSON.parse(await readFile(bench.file, 'utf8')).invitations).toEqual([])
  })
})
