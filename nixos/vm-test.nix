# Two machines: one with a cache behind a tunnel, one with the edge and a client. The test does what users do: it fetches a signed path through the tunnel with a
# netrc file, gets no path without one, and copies from a public cache on loopback. Edge and connector are the simulations in test/, because the test has no Internet access.
#
#   nix build .#checks.x86_64-linux.vm
{ pkgs }:
let
  # A key for this test only; its secret key is used nowhere else.
  keyName = "cache.test-1";
  standIns = pkgs.runCommand "burrow-stand-ins" { } ''
    mkdir -p $out/bin
    cp -r ${../test} $out/test
    cp ${../package.json} $out/package.json
    ln -s ${pkgs.callPackage ./node-modules.nix { kind = "development"; }}/node_modules $out/node_modules
    for name in edge cloudflared; do
      case $name in
        edge) program=$out/test/edge/main.ts ;;
        cloudflared) program=$out/test/fixtures/connectors/cloudflared ;;
      esac
      printf '#!%s\nexec %s --disable-warning=ExperimentalWarning %s "$@"\n' ${pkgs.runtimeShell} ${pkgs.lib.getExe pkgs.nodejs_24} $program > $out/bin/$name
      chmod +x $out/bin/$name
    done
  '';
in
pkgs.testers.runNixOSTest {
  name = "burrow";

  nodes.cache =
    { pkgs, ... }:
    {
      imports = [ ./module.nix ];
      virtualisation.writableStore = true;
      environment.systemPackages = [ pkgs.hello ];
      services.burrow = {
        enable = true;
        settings.signing.keyFiles = [ "$CREDENTIALS_DIRECTORY/signing-key" ];
        credentials.signing-key = "/var/keys/signing-key";
        users.ben.passwordFile = "/var/keys/ben";
        tunnel = {
          mode = "token";
          package = standIns;
          tokenFile = "/var/keys/tunnel-token";
          hostname = "cache.test";
          extraArgs = [
            "--edge"
            "client:7844"
            "--edge"
            "client:7844"
            "--cacert"
            "/etc/edge.pem"
          ];
        };
      };
      # The secrets come from the edge and from this test, after the machines have started.
      systemd.services.burrow.wantedBy = pkgs.lib.mkForce [ ];
    };

  nodes.client =
    { pkgs, ... }:
    {
      imports = [ ./client.nix ];
      virtualisation.writableStore = true;
      networking.firewall.allowedTCPPorts = [ 7844 ];
      networking.hosts."127.0.0.1" = [ "cache.test" ];
      systemd.services.edge = {
        wantedBy = [ "multi-user.target" ];
        serviceConfig.ExecStart = "${standIns}/bin/edge --host 0.0.0.0 --connectors 7844 --http 80 --hostname cache.test --write /run/edge";
        serviceConfig.RuntimeDirectory = "edge";
      };
      services.burrow-client = {
        enable = true;
        url = "http://cache.test";
        # The real one is made during the test and passed on the command line.
        publicKeys = [ "${keyName}:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=" ];
        netrcFile = "/etc/nix/netrc";
      };
      environment.systemPackages = [ pkgs.curl ];
    };

  testScript = ''
    start_all()
    client.wait_for_unit("edge.service")
    client.wait_for_file("/run/edge/token")
    token = client.succeed("cat /run/edge/token").strip()
    certificate = client.succeed("cat /run/edge/ca.pem")

    cache.succeed("install -d -m 0700 /var/keys")
    cache.succeed("burrow keygen ${keyName} > /var/keys/signing-key && chmod 600 /var/keys/signing-key")
    public_key = cache.succeed("nix --extra-experimental-features nix-command key convert-secret-to-public < /var/keys/signing-key").strip()
    cache.succeed("echo secret > /var/keys/ben")
    cache.succeed(f"echo '{token}' > /var/keys/tunnel-token")
    cache.succeed(f"install -m 0644 /dev/stdin /etc/edge.pem <<'END'\n{certificate}\nEND")
    cache.succeed("systemctl start burrow")
    cache.wait_for_unit("burrow.service")
    path = cache.succeed("readlink -f $(which hello)").strip().removesuffix("/bin/hello")
    options = f"--option trusted-public-keys '{public_key}' --option extra-experimental-features nix-command"

    with subtest("the tunnel connects, and status says so"):
        cache.wait_until_succeeds("burrow status | grep -q 'tunnel  *connected ('")
        cache.fail("ss -Hlnt | grep -v -e 127.0.0.1 -e '\\[::1\\]' | grep -q ':8080'")

    with subtest("a stranger gets nothing"):
        client.succeed("test $(curl -s -o /dev/null -w '%{http_code}' http://cache.test/nix-cache-info) = 401")
        client.fail(f"nix copy {options} --option netrc-file /dev/null --from http://cache.test {path}")

    with subtest("a user with a netrc gets a signed path"):
        client.succeed("install -D -m 0600 /dev/stdin /etc/nix/netrc <<< 'machine cache.test login ben password secret'")
        client.succeed(f"nix copy {options} --option netrc-file /etc/nix/netrc --from http://cache.test {path}")
        client.succeed(f"{path}/bin/hello")
        client.succeed(f"nix {options} path-info --sigs {path} | grep -q ${keyName}:")

    with subtest("a key that is not trusted is refused"):
        other = cache.succeed("readlink -f $(which curl || which bash)").strip().rsplit("/bin/", 1)[0]
        client.fail(f"nix copy --option trusted-public-keys '${keyName}:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=' --option netrc-file /etc/nix/netrc --option extra-experimental-features nix-command --from http://cache.test {other} --to /tmp/store")

    with subtest("a stop drains, and a start comes back"):
        cache.succeed("systemctl restart burrow")
        cache.wait_until_succeeds("burrow status | grep -q 'tunnel  *connected ('")

    with subtest("a plain copy from a public cache on loopback"):
        cache.succeed("burrow --config ${pkgs.writeText "public.json" ''{"public": true, "listen": "127.0.0.1:8090", "operator": null, "state": {"dir": "/tmp/public"}}''} serve >&2 & disown")
        cache.wait_until_succeeds("curl -sf http://127.0.0.1:8090/nix-cache-info")
        cache.succeed(f"nix copy --no-check-sigs --option extra-experimental-features nix-command --from http://127.0.0.1:8090 {path} --to /tmp/copy")
  '';
}
