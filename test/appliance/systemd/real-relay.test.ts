/**
 * `burrow use --relay` under the real systemd: set up, asked by users, restarted under load, reading store and database
 * in its sandbox, removed.
 */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { beforeAll, expect, test } from '@jest/globals'

import { findDescribe, runOnMachine } from './machine.ts'

const describeWhereItBoots = findDescribe()

const script = `
burrow() { /opt/burrow-node --disable-warning=ExperimentalWarning /opt/burrow/appliance/program.ts "$@"; }
say() { echo "== $1"; }
show() { systemctl show burrow-relay --value -p "$1"; }
relay=http://127.0.0.1:8078
ask() { curl -s -m 300 -o /dev/null -w '%{http_code} ' "$relay/$1"; }
wait_for() { for try in $(seq 3000); do ! "$@" > /dev/null 2>&1 || return 0; sleep 0.1; done; }
ip link set lo up
cd /
unset NIX_STORE_DIR NIX_STATE_DIR NIX_REMOTE
rm -rf /etc/nix; mkdir -p /etc/nix; echo build-users-group = > /etc/nix/nix.conf

# The far end, which has nothing and takes pushes.
mkdir /run/far-end; cat > /run/far-end/burrow.json <<'JSON'
{ "listen": "127.0.0.1:8080", "operator": null, "tunnel": "off", "state": { "dir": "/run/far-end/state" }, "larder": { "dir": "/run/far-end/larder" },
  "depot": { "dir": "/run/far-end/depot" }, "users": [{ "name": "ci", "password": "a-long-secret", "access": ["pull", "push"] }] }
JSON
chmod 600 /run/far-end/burrow.json
NIX_STATE_DIR=/run/far-end/none burrow --config /run/far-end/burrow.json serve > /run/far-end/log 2>&1 &
wait_for curl -fs -u ci:a-long-secret http://127.0.0.1:8080/nix-cache-info

say used; echo a-long-secret | burrow use http://127.0.0.1:8080 --user ci --relay --push > /run/share/use.log 2>&1; echo $?; grep -c run /run/share/use.log
say states; systemctl is-active burrow-relay.socket burrow-relay.service; systemctl is-enabled burrow-relay.socket burrow-relay.service
wait_for curl -fs $relay/nix-cache-info
# With --push: what comes into the store goes to the far end.
echo content > /tmp/object; object=$(nix-store --add /tmp/object 2> /dev/null); hash=$(basename "$object" | cut -c1-32)
wait_for curl -fs -u ci:a-long-secret http://127.0.0.1:8080/$hash.narinfo
say served; wait_for curl -fs $relay/$hash.narinfo; ask nix-cache-info; ask $hash.narinfo; ask $(curl -s -m 300 $relay/$hash.narinfo | sed -n 's/^URL: //p'); echo
say process; grep -E '^(Uid|Seccomp|NoNewPrivs|CapEff|CapBnd):' /proc/$(show MainPID)/status
say secrets; grep -c a-long-secret /etc/nix/netrc; stat -c %a /etc/nix/netrc; grep -rl a-long-secret /etc/systemd /etc/nix/nix.conf | wc -l
say status; burrow relay status; echo $?
say restarted; (for i in $(seq 40); do ask nix-cache-info; done) > /run/share/codes & reading=$!; systemctl restart burrow-relay; wait $reading; cat /run/share/codes; echo
# Users are told apart in the sandbox.
mkdir -p /run/systemd/system/burrow-relay.service.d
{ echo [Service]; echo ExecStart=; sed -n 's/^ExecStart=.*/& --allow-uid 0/p' /etc/systemd/system/burrow-relay.service; } > /run/systemd/system/burrow-relay.service.d/test.conf
systemctl daemon-reload; systemctl restart burrow-relay
say allowed; ask nix-cache-info; setpriv --reuid 65534 --clear-groups curl -s -m 300 -o /dev/null -w '%{http_code}' $relay/nix-cache-info; echo
{ echo [Service]; echo ExecStart=; sed -n 's/^ExecStart=\\(.*\\) --watch/ExecStart=\\1 --exit-idle 1s/p' /etc/systemd/system/burrow-relay.service; } > /run/systemd/system/burrow-relay.service.d/test.conf
systemctl daemon-reload; systemctl restart burrow-relay; wait_for curl -fs $relay/nix-cache-info
say idle; until [ "$(systemctl is-active burrow-relay.service)" = inactive ]; do sleep 0.1; done; show Result; ask nix-cache-info; echo
rm /run/systemd/system/burrow-relay.service.d/test.conf; systemctl daemon-reload
say removed; burrow use http://127.0.0.1:8080 --remove > /dev/null 2>&1; echo $?; systemctl is-active burrow-relay.socket burrow-relay.service; ls /etc/systemd/system/burrow* 2> /dev/null | wc -l; grep -c 8078 /etc/nix/nix.conf; grep -c ci /etc/nix/netrc
say end
`

describeWhereItBoots('burrow use --relay under the real systemd', () => {
  let answers: ReadonlyMap<string, readonly string[]> = new Map()

  beforeAll(async () => {
    // The units start it where it is there, in the form of these sources.
    await promisify(execFile)(process.execPath, [
      fileURLToPath(new URL('../../../scripts/bundle.mjs', import.meta.url)),
      'client',
    ])
    answers = await runOnMachine(script)
  }, 1_500_000)

  test('it sets the relay up, which runs then and after the next start of the machine', () => {
    expect(answers.get('used')?.[0]).toBe('0')
    expect(answers.get('states')).toEqual(['active', 'active', 'enabled', 'enabled'])
  })

  test('what comes into the store is pushed in its sandbox, and served with the login that only root can read', () => {
    expect(answers.get('served')).toEqual(['200 200 200'])
    expect(answers.get('secrets')).toEqual(['1', '600', '0'])
    expect(answers.get('status')?.at(-1)).toBe('0')
  })

  test('it runs without root, capabilities and ways to new privileges, with filtered system calls', () => {
    const process = answers.get('process')?.map((line) => line.split(/\s+/).slice(0, 2).join(' '))
    expect(process?.slice(1)).toEqual([
      'CapEff: 0000000000000000',
      'CapBnd: 0000000000000000',
      'NoNewPrivs: 1',
      'Seccomp: 2',
    ])
    expect(Number(process?.[0]?.split(' ')[1])).toBeGreaterThan(60_000)
  })

  test('it exits when it is left alone, and the next request starts it', () => {
    expect(answers.get('idle')).toEqual(['success', '200'])
  })

  test('no connection is refused while it restarts', () => {
    expect(answers.get('restarted')).toEqual([Array(40).fill('200').join(' ')])
  })

  test('--allow-uid tells users apart there', () => {
    expect(answers.get('allowed')).toEqual(['200 403'])
  })

  test('--remove leaves nothing', () => {
    expect(answers.get('removed')).toEqual(['0', 'inactive', 'inactive', '0', '0', '0'])
  })
})
