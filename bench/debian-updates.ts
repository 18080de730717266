/**
 * Real updates: packages of which Debian's archive has two versions at the moment (the point release, its updates, its
 * security archive), unpacked side by side. Needs apt and a network; nothing of it is committed.
 */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { runCommand } from './children.ts'
import { say } from './progress.ts'
import { workDir } from './work-dir.ts'

export interface Update {
  readonly name: string
  /** Directories with the package's files. */
  readonly base: string
  readonly target: string
}

const packages = [
  'openjdk-17-jre-headless',
  'postgresql-15',
  'git',
  'libgs10',
  'systemd',
  'libssl3',
  'php8.2-cli',
  'libc6',
  'perl-base',
  'libpython3.11-stdlib',
  'libxml2',
  'libcurl4',
  'openssh-client',
  'sudo',
  'bind9-libs',
] as const

/** @throws {Error} if no package has two versions */
export async function fetchUpdates(): Promise<{
  readonly updates: readonly Update[]
  readonly notes: readonly string[]
}> {
  await runCommand('apt-get', ['update', '-q'], { discardOutput: true })
  const updates: Update[] = []
  const single: string[] = []
  for (const name of packages) {
    const [newest, before] = await listVersions(name)
    if (newest === undefined || before === undefined) single.push(name)
    else
      updates.push({
        name: `${name} ${before} → ${newest}`,
        base: await unpack(name, before),
        target: await unpack(name, newest),
      })
  }
  if (updates.length === 0)
    throw new Error('Cannot find two versions of any package: is this Debian 12, with its security archive?')
  const notes = single.length === 0 ? [] : [`no two versions at the moment: ${single.join(', ')}`]
  return { updates, notes }
}

/** The newest first. */
async function listVersions(name: string): Promise<string[]> {
  const { stdout } = await runCommand('apt-cache', ['madison', name])
  return [...new Set(stdout.split('\n').flatMap((line) => line.split('|')[1]?.trim() ?? []))]
}

/** Returns the directory; one that is there from an earlier run is taken as it is. */
async function unpack(name: string, version: string): Promise<string> {
  const dir = join(workDir, 'updates', name, encodeURIComponent(version))
  if (existsSync(dir)) return dir
  say(`fetching ${name} ${version}`)
  const download = `${dir}.download`
  rmSync(download, { recursive: true, force: true })
  mkdirSync(join(download, 'files'), { recursive: true })
  await runCommand('apt-get', ['download', '-q', `${name}=${version}`], { cwd: download, timeoutSeconds: 600 })
  const archive = readdirSync(download).find((file) => file.endsWith('.deb'))!
  await runCommand('dpkg-deb', ['-x', archive, 'files'], { cwd: download })
  renameSync(join(download, 'files'), dir)
  rmSync(download, { recursive: true })
  return dir
}
