/** The texts of the units: the unit files of the program, with its location and the address to listen on. */
import { readFile, readlink, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'

import { configFile, credentialsDir } from './places.ts'

const fileBeside = (name: string) => fileURLToPath(new URL(name, import.meta.url))
const readUnit = (name: string) => readFile(fileBeside(name), 'utf8')

export interface Program {
  /** Executable and first arguments, absolute. */
  readonly command: readonly string[]
}

/**
 * The running program: its Node and its main module, which is TypeScript in a checkout and JavaScript in a package.
 */
export async function findProgram(): Promise<Program> {
  const main = fileBeside(import.meta.url.endsWith('.ts') ? '../program.ts' : '../program.js')
  return { command: [await readlink('/proc/self/exe'), '--disable-warning=ExperimentalWarning', main] }
}

/** `hasSocket`: a start of the service also starts burrow.socket, which may have failed or been stopped. */
export async function formatService({ command }: Program, { hasSocket = false } = {}): Promise<string> {
  const plain = await readUnit('burrow.service')
  const unit = hasSocket ? plain.replace('[Unit]\n', '[Unit]\nWants=burrow.socket\n') : plain
  const line = (...subcommand: string[]) => [...command.map(quote), '--config', configFile, ...subcommand].join(' ')
  // The first ExecReload= checks, the second sends the signal.
  return replaceLine(replaceLine(unit, 'ExecStart', line('serve')), 'ExecReload', line('check-config', '--no-env'))
}

/** `address`: in systemd's format, `127.0.0.1:8080` or `/run/burrow.sock`. */
export async function formatSocket(address: string): Promise<string> {
  return replaceLine(await readUnit('burrow.socket'), 'ListenStream', address)
}

/** A line for each file of the credentials directory; `undefined` if there are none. */
export function formatCredentials(names: readonly string[]): string | undefined {
  if (names.length === 0) return undefined
  const lines = names.map((name) => `LoadCredential=${name}:${credentialsDir}/${name}`)
  return `# Written by "burrow install-service": one line per file in ${credentialsDir}. Run it again after adding or removing one.\n\n[Service]\n${lines.join('\n')}\n`
}

/** Whether Burrow wrote the unit: by the start of its first line. The rest of it differs between versions. */
export function isOurs(text: string, name: 'burrow.service' | 'burrow.socket'): boolean {
  return text.startsWith(`# ${name}: `)
}

function replaceLine(unit: string, name: string, value: string): string {
  const pattern = new RegExp(`^${name}=.*$`, 'm')
  if (!pattern.test(unit)) throw new Error(`The unit has no ${name}=`)
  return unit.replace(pattern, () => `${name}=${value}`)
}

/** systemd.service(5): "%" begins a specifier and "$" a variable. */
export function quote(word: string): string {
  const plain = word.replaceAll('%', '%%').replaceAll('$', '$$$$')
  return /^[\w@%+=:,./$-]+$/.test(plain) ? plain : `"${plain.replaceAll(/["\\]/g, '\\$&')}"`
}

const hiddenDirs: readonly [string, string][] = [
  ['/home', 'ProtectHome='],
  ['/root', 'ProtectHome='],
  ['/run/user', 'ProtectHome='],
  ['/tmp', 'PrivateTmp='],
  ['/var/tmp', 'PrivateTmp='],
]

/** Why the service's user cannot start the program; `undefined` if it can. */
export async function findObstacle({ command }: Program): Promise<string | undefined> {
  for (const file of command.filter((word) => word.startsWith('/'))) {
    const hidden = hiddenDirs.find(([dir]) => file.startsWith(`${dir}/`))
    if (hidden !== undefined) return `"${file}" is in ${hidden[0]}, which ${hidden[1]} hides from the service`
    for (let path = file; path !== '/'; path = dirname(path)) {
      const found = await stat(path).catch(() => undefined)
      if (found === undefined) return `"${path}" does not exist`
      const needed = found.isDirectory() ? 0o001 : 0o004
      if ((found.mode & needed) === 0)
        return `users other than the owner may not ${found.isDirectory() ? 'enter' : 'read'} "${path}"`
    }
  }
  return undefined
}
