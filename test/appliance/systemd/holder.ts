/**
 * Stands for systemd as the holder of a listening socket: it binds it once, and starts one process after the other on
 * it, by the rules of sd_listen_fds(3). Perl can put a socket at descriptor 3 and fork; every Debian has it.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const script = `
  use Socket; use POSIX (); $| = 1; $^F = 9;
  my ($kind, $where, @command) = @ARGV;
  my $type = $kind eq 'datagram' ? SOCK_DGRAM : SOCK_STREAM;
  my $is_local = $kind eq 'unix' || $kind eq 'abstract';
  $where = "\\0$where" if $kind eq 'abstract';
  socket(my $s, $is_local ? AF_UNIX : AF_INET, $type, 0) or die;
  bind($s, $is_local ? pack_sockaddr_un($where) : pack_sockaddr_in(0, inet_aton($where))) or die "bind: $!";
  if ($type == SOCK_STREAM) { listen($s, 128) or die "listen: $!" }
  print(($is_local ? $where : (unpack_sockaddr_in(getsockname($s)))[0]), "\\n");
  while (my $line = <STDIN>) {
    my $pid = fork();
    if ($pid == 0) {
      POSIX::dup2(fileno($s), 3) if fileno($s) != 3;
      $ENV{LISTEN_FDS} = 1; $ENV{LISTEN_PID} = $$; $ENV{LISTEN_FDNAMES} = 'burrow';
      open(STDIN, '<', '/dev/null');
      exec(@command) or POSIX::_exit(127);
    }
    waitpid($pid, 0);
    print "exited ", $? >> 8, "\\n";
  }`

export interface Holder extends AsyncDisposable {
  /** The port, or the path. */
  readonly where: string
  /** A process on the socket; resolves when it has printed its first line. */
  start(): Promise<{ readonly line: string; readonly exited: Promise<string> }>
}

export async function openHolder(
  kind: 'tcp' | 'unix' | 'abstract' | 'datagram',
  where: string,
  environment: Readonly<Record<string, string>> = {},
): Promise<Holder> {
  const server = fileURLToPath(new URL('inheriting-server.ts', import.meta.url))
  const command = [process.execPath, '--disable-warning=ExperimentalWarning', server]
  const env = { PATH: process.env.PATH, ...environment }
  const child: ChildProcess = spawn('perl', ['-e', script, kind, where, ...command], {
    env,
    stdio: ['pipe', 'pipe', 'inherit'],
    detached: true,
  })
  const ended = once(child, 'exit')
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]()
  const next = async () => String((await lines.next()).value)
  const bound = await next()
  return {
    where: bound,
    async start() {
      child.stdin!.write('start\n')
      const line = await next()
      // One that cannot start has but one line, and the next is its end.
      return { line, exited: next() }
    },
    async [Symbol.asyncDispose]() {
      // The group is the holder's own: whoever still runs on the socket ends too.
      process.kill(-child.pid!, 'SIGKILL')
      await ended
    },
  }
}
