/**
 * The other end of $NOTIFY_SOCKET: a datagram socket in the file system, held by Perl, since Node has none and every
 * Debian has Perl's own modules.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

const script = `
  use Socket; $| = 1;
  socket(my $s, AF_UNIX, SOCK_DGRAM, 0) or die; bind($s, pack_sockaddr_un($ARGV[0])) or die "bind: $!";
  print "bound\\n";
  while (defined recv($s, my $m, 65536, 0)) { $m =~ s/\\n/|/g; print "$m\\n" }`

export interface Receiver extends AsyncDisposable {
  readonly socket: string
  /** Whole messages, lines parted by "|". What systemd-notify adds to wait for systemd is left out. */
  readonly messages: readonly string[]
  /** Resolves when so many have come. */
  received(count: number): Promise<readonly string[]>
}

export async function openReceiver(socket: string): Promise<Receiver> {
  const child = spawn('perl', ['-e', script, socket], { stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = once(child, 'exit')
  const lines = createInterface({ input: child.stdout })
  const messages: string[] = []
  const waiting = new Set<() => void>()
  await once(lines, 'line')
  lines.on('line', (line) => {
    if (line === 'BARRIER=1') return
    messages.push(line)
    for (const look of waiting) look()
  })
  return {
    socket,
    messages,
    received: (count) =>
      new Promise((resolve) => {
        const look = () => {
          if (messages.length < count) return
          waiting.delete(look)
          resolve([...messages])
        }
        waiting.add(look)
        look()
      }),
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await exited
    },
  }
}
