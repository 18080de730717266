/**
 * The unit as it is, under the real systemd: installed, started, reloaded, restarted under load, hung and brought back,
 * stopped, removed.
 */
import { beforeAll, expect, test } from '@jest/globals'

import { findDescribe, runOnMachine } from './machine.ts'

const describeWhereItBoots = findDescribe()

/** Each line `== NAME` begins an answer. */
const script = `
burrow() { /opt/burrow-node --disable-warning=ExperimentalWarning /opt/burrow/appliance/main.ts "$@"; }
say() { echo "== $1"; }
show() { systemctl show burrow --value -p "$1"; }
ask() { curl -s -m 300 -o /dev/null -w '%{http_code} ' -u "ana:$password" "http://127.0.0.1:8080/$1"; }
ip link set lo up
cd /
unset NIX_STORE_DIR NIX_STATE_DIR NIX_REMOTE
echo content > /tmp/object; object=$(nix-store --add /tmp/object); hash=$(basename "$object" | cut -c1-32)
# What the connector is started with, in the sandbox of the unit.
mkdir -p /run/systemd/system/burrow.service.d
printf '[Service]\\nWatchdogSec=30\\nRestartSec=1\\nExecStartPre=setpriv --pdeathsig TERM -- true\\n' > /run/systemd/system/burrow.service.d/test.conf
say installed; burrow install-service --user ana --socket > /run/share/clients; echo $?
password=$(cat /etc/burrow/credentials/password-ana)
say state; show ActiveState; show SubState; show StatusText
say store; ask nix-cache-info; ask $hash.narinfo; ask $(curl -s -m 300 -u "ana:$password" http://127.0.0.1:8080/$hash.narinfo | sed -n 's/^URL: //p'); echo
say process; grep -E '^(Uid|Seccomp|NoNewPrivs|CapEff|CapBnd):' /proc/$(show MainPID)/status
say status; burrow --config /etc/burrow/burrow.json status | head -1
say reloaded; systemctl reload burrow; echo $?; for try in $(seq 3000); do [ $(show SubState) != reload ] || sleep 0.1; done; show SubState
cp /etc/burrow/burrow.json /run/good; echo '{' > /etc/burrow/burrow.json; say badreload; systemctl reload burrow 2> /dev/null; echo $?; cat /run/good > /etc/burrow/burrow.json; for try in $(seq 3000); do [ $(show SubState) != reload ] || sleep 0.1; done; ask nix-cache-info; echo; show SubState
say restarted; (for i in $(seq 40); do ask nix-cache-info; done) > /run/share/codes & systemctl restart burrow; wait; cat /run/share/codes; echo
kill -STOP $(show MainPID)
say hung; curl -s -m 300 -o /dev/null -w '%{http_code}\\n' -u "ana:$password" http://127.0.0.1:8080/nix-cache-info; show NRestarts
echo '{' > /etc/burrow/burrow.json; systemctl restart burrow 2> /dev/null
# Each connection starts the service once, and is reset; afterwards it stays as it is.
curl -s -m 300 -o /dev/null http://127.0.0.1:8080/nix-cache-info; [ $? != 7 ] && [ $? != 28 ] && reset=yes
settle() { for try in $(seq 3000); do [ $(show ActiveState) != failed ] || break; sleep 0.1; done; }
settle; sleep 1; settle; before=$(show InvocationID); sleep 4
say misconfigured; echo $reset; [ $before = $(show InvocationID) ] && echo calm; show ExecMainStatus; show NRestarts; show ActiveState; systemctl is-active burrow.socket
cat /run/good > /etc/burrow/burrow.json; say repaired; systemctl restart burrow; echo $?; systemctl is-active burrow.socket; ask nix-cache-info; echo
burrow uninstall-service --purge --yes 2> /dev/null; say removed; ls -d /etc/burrow /var/lib/private/burrow /etc/systemd/system/burrow* 2> /dev/null | wc -l
say end
`

describeWhereItBoots('burrow.service under the real systemd', () => {
  let answers: ReadonlyMap<string, readonly string[]> = new Map()

  beforeAll(async () => {
    answers = await runOnMachine(script)
  }, 1_500_000)

  test('install-service starts it, and it is running when it says that it is ready', () => {
    expect(answers.get('installed')?.at(-1)).toBe('0')
    expect(answers.get('state')).toEqual(['active', 'running', 'Serving on 127.0.0.1:8080'])
    expect(answers.get('status')?.[0]).toMatch(/^burrow .* serves/)
  })

  test('in its sandbox it reads the store and its database, and packs', () => {
    expect(answers.get('store')).toEqual(['200 200 200'])
  })

  test('it is nobody: no root, no capabilities, no way to new privileges, filtered system calls', () => {
    const process = answers.get('process')?.map((line) => line.split(/\s+/).slice(0, 2).join(' '))
    expect(process?.slice(1)).toEqual([
      'CapEff: 0000000000000000',
      'CapBnd: 0000000000000000',
      'NoNewPrivs: 1',
      'Seccomp: 2',
    ])
    expect(Number(process?.[0]?.split(' ')[1])).toBeGreaterThan(60_000)
  })

  test('a reload is told and over', () => {
    expect(answers.get('reloaded')).toEqual(['0', 'running'])
  })

  test('a reload with a wrong config fails, and the service goes on', () => {
    const [code, answer, state] = answers.get('badreload') ?? []
    expect([Number(code) > 0, answer?.trim(), state]).toEqual([true, '200', 'running'])
  })

  test('no connection is refused while it restarts', () => {
    expect(answers.get('restarted')).toEqual([Array(40).fill('200').join(' ')])
  })

  test('when it hangs the watchdog ends it, and the request that waits is answered by the next one', () => {
    expect(answers.get('hung')).toEqual(['200', '1'])
  })

  test('with a broken config it resets the connections that wait, and is not started again and again', () => {
    expect(answers.get('misconfigured')).toEqual(['yes', 'calm', '78', '0', 'failed', 'active'])
  })

  test('after the repair one restart brings the service and its socket back', () => {
    expect(answers.get('repaired')).toEqual(['0', 'active', '200'])
  })

  test('uninstall-service --purge leaves nothing', () => {
    expect(answers.get('removed')).toEqual(['0'])
  })
})
