/** burrow(8), from the command line itself: what --help tells, in the order of a manual page. */
import type { EventEmitter } from 'node:events'
import { PassThrough } from 'node:stream'
import type { Command } from 'commander'

import { createProgram } from '../appliance/cli.ts'
import type { Machine } from '../appliance/machine.ts'
import { readVersion } from '../appliance/version.ts'
import {
  example,
  formatBlock,
  formatHead,
  type HelpBlock,
  heading,
  item,
  paragraph,
  parseHelpText,
  subheading,
} from './roff.ts'

/** What no --help tells, since it is true of the program as a whole. */
const environment: readonly [string, string][] = [
  ['BURROW_CONFIG', 'The config file, where --config names none.'],
  [
    'STATE_DIRECTORY, CACHE_DIRECTORY, RUNTIME_DIRECTORY',
    'Set by systemd: where state, the larder, and sockets lie unless the config says otherwise.',
  ],
  [
    'CREDENTIALS_DIRECTORY',
    'Set by systemd: where the files of LoadCredential= lie. The config refers to them as "$CREDENTIALS_DIRECTORY/NAME".',
  ],
  [
    'NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID',
    'Set by systemd: where it is told that Burrow is ready, reloads, stops, and lives (by systemd-notify, which must be on PATH).',
  ],
  [
    'LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES',
    'Set by systemd: a listening socket that is taken over instead of binding one. It must be bound to loopback, or be a unix socket.',
  ],
  ['XDG_STATE_HOME', 'Where the state lies otherwise, in "burrow"; ~/.local/state without it.'],
]
const files: readonly [string, string][] = [
  ['/etc/burrow/burrow.json', 'The config of the systemd service; see burrow.json(5).'],
  [
    '/etc/burrow/credentials/',
    'Its secrets, a file each, for root alone; "burrow install-service" makes a LoadCredential= of each.',
  ],
  ['/etc/burrow/environment', 'Its variables for $NAME in the config, as lines NAME=value.'],
  ['/var/lib/burrow/', 'Its state: the key it made, what it knows of the tunnel.'],
  ['/var/cache/burrow/larder/', 'Compressed NARs. Losing them loses only time.'],
  ['/run/burrow/operator.sock', 'Where "burrow status" asks, and Prometheus can.'],
]

export function formatCommandPage(): string {
  const program = createProgram({
    stdout: new PassThrough(),
    stderr: new PassThrough(),
    env: {},
    args: [],
  } as unknown as Machine)
  const commands = listCommands(program, 'burrow')
  const notes = parseNotes(helpTextOf(program))
  return [
    formatHead('burrow', 8, readVersion(), 'System Administration'),
    `${heading('NAME')}burrow \\- private Nix binary cache at the end of a tunnel\n`,
    `${heading('SYNOPSIS')}.B burrow\n[\\fB\\-\\-config\\fR \\fIfile\\fR] \\fIcommand\\fR [\\fIoptions\\fR]\n`,
    `${heading('DESCRIPTION')}${[program.description()].map(paragraph).join('')}${notes.blocks.map(formatBlock).join('')}`,
    `${heading('OPTIONS')}${formatOptions(program)}`,
    `${heading('COMMANDS')}${commands.map(({ name, command }) => formatCommand(name, command)).join('')}`,
    `${heading('EXIT STATUS')}${notes.exitCodes.map(([code, text]) => item(code, text)).join('')}`,
    `${heading('SIGNALS')}${paragraph(signalsOf(commands))}`,
    `${heading('ENVIRONMENT')}${environment.map(([name, text]) => item(name, text)).join('')}`,
    `${heading('FILES')}${files.map(([name, text]) => item(name, text)).join('')}`,
    `${heading('EXAMPLES')}${example(commands.flatMap(({ command }) => parseHelpText(helpTextOf(command)).examples))}`,
    `${heading('SEE ALSO')}.BR burrow.json (5),\n.BR nix.conf (5),\n.BR systemd.exec (5),\n.BR netrc (5)\n`,
  ].join('')
}

function listCommands(parent: Command, prefix: string): { name: string; command: Command }[] {
  return parent.commands.flatMap((command) => {
    const name = `${prefix} ${command.name()}`
    return command.commands.length > 0 ? listCommands(command, name) : [{ name, command }]
  })
}

function formatCommand(name: string, command: Command): string {
  const usage = command.registeredArguments.map((argument) =>
    argument.required ? `<${argument.name()}>` : `[${argument.name()}]`,
  )
  const sentence = `${command.description().charAt(0).toUpperCase()}${command.description().slice(1)}.`
  const blocks = parseHelpText(helpTextOf(command)).blocks.filter((block) => !isSignals(block))
  return [
    subheading([name, ...usage].join(' ')),
    paragraph(sentence),
    formatOptions(command),
    ...blocks.map(formatBlock),
  ].join('')
}

function formatOptions(command: Command): string {
  const shown = command.createHelp().visibleOptions(command)
  return shown
    .filter(({ long }) => long !== '--help')
    .map(({ flags, description, defaultValue }) =>
      item(flags, typeof defaultValue === 'string' ? `${description} (default: ${defaultValue})` : description),
    )
    .join('')
}

/** What addHelpText() was given. */
function helpTextOf(command: Command): string {
  let text = ''
  const write = (chunk: string) => {
    text += chunk
  }
  // It is one, though its types do not say so.
  ;(command as unknown as EventEmitter).emit('afterHelp', { command, error: false, write })
  return text
}

const isSignals = (block: HelpBlock) => 'prose' in block && block.prose.startsWith('Signals: ')

function signalsOf(commands: readonly { command: Command }[]): string {
  const texts = commands
    .flatMap(({ command }) => parseHelpText(helpTextOf(command)).blocks.filter(isSignals))
    .flatMap((block) => ('prose' in block ? [block.prose] : []))
  if (texts.length === 0) throw new Error('No command tells of its signals in --help')
  return texts.map((text) => text.slice('Signals: '.length)).join(' ')
}

/** "Exit codes:", then lines of a code and what it means; a line that is indented further goes on. */
function parseNotes(text: string): {
  blocks: readonly HelpBlock[]
  exitCodes: readonly [code: string, text: string][]
} {
  const [before, list] = text.split('Exit codes:\n')
  if (before === undefined || list === undefined) throw new Error('burrow --help tells no exit codes')
  const exitCodes: [string, string][] = []
  for (const line of list.split('\n')) {
    const [, code, meaning] = /^ {2}(\d+) +(.*)$/.exec(line) ?? []
    const last = exitCodes.at(-1)
    if (code !== undefined && meaning !== undefined) exitCodes.push([code, meaning])
    else if (last !== undefined && line.trim() !== '') last[1] += ` ${line.trim()}`
  }
  return { blocks: parseHelpText(before).blocks, exitCodes }
}
