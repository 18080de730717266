/**
 * Real shells that complete a line. bash and zsh do it at a terminal (script(1) of util-linux gives them one) by a key
 * that inserts all candidates; `burrow` is then a function that notes its arguments. fish can be asked without one.
 */
import { spawn } from 'node:child_process'
import { mkdir, readFile, writeFile } from 'node:fs/promises'

import type { ScratchDir } from '../appliance/scratch-dir.ts'
import { run } from '../fixtures/run.ts'

export type ShellName = 'bash' | 'zsh' | 'fish'

/** For each line what it is completed to: all words after `burrow`. */
export type CompleteLines = (lines: readonly string[]) => Promise<readonly (readonly string[])[]>

/** The directory is the working directory of the shell. */
export async function openShell(name: ShellName, script: string, dir: ScratchDir): Promise<CompleteLines> {
  await mkdir(dir.file('rc'), { recursive: true })
  await writeFile(dir.file('rc/_burrow'), script)
  if (name === 'fish') return (lines) => askFish(lines, dir)
  const rc = name === 'bash' ? bashRc(dir) : zshRc(dir)
  await writeFile(dir.file(name === 'bash' ? 'rc/bashrc' : 'rc/.zshrc'), rc)
  const command = name === 'bash' ? `bash --noprofile --rcfile '${dir.file('rc/bashrc')}' -i` : 'zsh -d -i'
  return (lines) => typeLines(command, lines, dir)
}

const notes = (dir: ScratchDir) => `
burrow() { printf '%s\\0' "$@" >> '${dir.file('rc/notes')}'; printf '\\1' >> '${dir.file('rc/notes')}'; echo "done""-$((++count))"; }
count=0
cd '${dir.path}'
`

function bashRc(dir: ScratchDir): string {
  return `${notes(dir)}
source '${dir.file('rc/_burrow')}'
bind '"\\C-xa": insert-completions' '"\\C-xt": complete'
bind 'set enable-bracketed-paste off' 'set bell-style none'
PS1='$ '
echo "done""-0"
`
}

/** The script lies in $fpath, as people install it. */
function zshRc(dir: ScratchDir): string {
  return `${notes(dir)}
fpath=('${dir.file('rc')}' $fpath)
autoload -Uz compinit && compinit -u -D
insert_all() { _main_complete; compstate[insert]=all; compstate[list]=; }
zle -C insert-all complete-word insert_all
bindkey '^Xa' insert-all
unset zle_bracketed_paste
unsetopt beep
setopt interactive_comments
PS1='$ '
echo "done""-0"
`
}

async function typeLines(command: string, lines: readonly string[], dir: ScratchDir): Promise<string[][]> {
  await writeFile(dir.file('rc/notes'), '')
  const child = spawn('script', ['--quiet', '--command', command, '/dev/null'], {
    cwd: dir.path,
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { PATH: process.env.PATH, HOME: dir.path, ZDOTDIR: dir.file('rc'), TERM: 'xterm', SHELL: '/bin/sh' },
  })
  let shown = ''
  let typed = 0
  child.stdout.setEncoding('utf8')
  for await (const chunk of child.stdout) {
    shown += chunk
    // A line is typed when the one before was noted.
    if (typed <= lines.length && new RegExp(`done-${typed}\\b`).test(shown)) {
      const line = lines[typed++]
      // Ctrl-U: whatever the shell left in the line is not ours.
      child.stdin.write(line === undefined ? 'exit\r' : `\u0015${line}\u0018a\r`)
    }
  }
  const found = (await readFile(dir.file('rc/notes'), 'utf8')).split('\u0001').slice(0, -1)
  if (found.length !== lines.length)
    throw new Error(`${found.length} of ${lines.length} lines were completed:\n${shown}`)
  return found.map((text) => text.split('\0').slice(0, -1))
}

/** fish names the candidates of the last word alone. */
async function askFish(lines: readonly string[], dir: ScratchDir): Promise<string[][]> {
  const asked: string[][] = []
  for (const line of lines) {
    const { stdout } = await run(
      'fish',
      ['--no-config', '-c', `source rc/_burrow; complete -C ${quoteForFish(line)}`],
      { cwd: dir.path, env: { HOME: dir.path } },
    )
    const before = line.split(' ').slice(1, -1)
    const candidates = stdout.split('\n').flatMap((text) => (text === '' ? [] : [text.split('\t')[0]!]))
    asked.push([...before, ...candidates])
  }
  return asked
}

function quoteForFish(text: string): string {
  return `'${text.replaceAll(/[\\']/g, '\\$&')}'`
}
