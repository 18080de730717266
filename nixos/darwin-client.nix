# services.burrow-client on macOS with nix-darwin: the options of client-options.nix, with launchd daemons in place of systemd units.
#
#   imports = [ burrow.darwinModules.client ];
#   services.burrow-client = {
#     enable = true;
#     url = "https://cache.example.org";
#     publicKeys = [ "cache.example.org-1:…" ];
#     relay = { enable = true; watch = true; };
#   };
#
# The relay and the pushing daemon read what a network sends, so they do not run as root but as a user of their own. launchd has neither DynamicUser nor
# LoadCredential: nix-darwin makes the user, and `burrow-login`, a daemon of root, copies the login to a file that this user may read, also when it changes.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  client = config.services.burrow-client;
  cfg = client.relay;
  account = "_burrow";
  # Root's, so that the account cannot replace what root writes there. Each daemon has a directory of its own below it.
  stateDir = "/var/lib/burrow-client";
  # The account's: launchd opens the logs as this user.
  logDir = "/var/log/burrow-client";
  spoolDir = "/var/spool/burrow";
  isPushing = client.push.watchStore || client.push.postBuildHook;
  hasPassword = cfg.enable && cfg.passwordFile != null;
  hasNetrc = client.netrcFile != null && (isPushing || (cfg.enable && !hasPassword));
  sources = lib.optionalAttrs hasNetrc { netrc = client.netrcFile; } // lib.optionalAttrs hasPassword { password = cfg.passwordFile; };
  copyOf = name: "${stateDir}/${name}";
  ownDirs =
    [ logDir ]
    ++ lib.optional cfg.enable "${stateDir}/relay"
    ++ lib.optional isPushing "${stateDir}/watch-store"
    ++ lib.optional client.push.postBuildHook spoolDir;
  quote = word: lib.escapeShellArgs [ word ];

  # A source that is missing (yet) leaves the last copy: secrets are often put in place late.
  prepare = pkgs.writeShellScript "burrow-client-prepare" ''
    set -eu
    PATH=${pkgs.coreutils}/bin
    umask 022
    install -d -m 0750 -g ${account} ${stateDir}
    install -d -m 0700 -o ${account} -g ${account} ${builtins.concatStringsSep " " ownDirs}
    copy() {
      if [ -f "$1" ]; then
        install -m 0440 -g ${account} -- "$1" "$2.new"
        mv -f -- "$2.new" "$2"
      else
        echo "Cannot copy the login for Burrow's relay and pushes: there is no file \"$1\"; write it, with mode 0600" >&2
      fi
    }
    ${builtins.concatStringsSep "\n" (
      map (
        name:
        if sources ? ${name} then
          "copy ${quote sources.${name}} ${copyOf name}"
        else
          "rm -f ${copyOf name}"
      ) [ "netrc" "password" ]
    )}
  '';

  daemon = name: {
    environment = {
      HOME = "${stateDir}/${name}";
      STATE_DIRECTORY = "${stateDir}/${name}";
    };
    serviceConfig = {
      UserName = account;
      GroupName = account;
      RunAtLoad = true;
      # Also while its login is missing: launchd tries every 10 s.
      KeepAlive = true;
      # More than the 30 s in which downloads may end and what waits is pushed.
      ExitTimeOut = 60;
      # 077. Property lists have no octal numbers.
      Umask = 63;
      # A core dump would hold the password.
      SoftResourceLimits.Core = 0;
      HardResourceLimits.Core = 0;
      StandardOutPath = "${logDir}/${name}.log";
      StandardErrorPath = "${logDir}/${name}.log";
    };
  };

  program = "${client.package}/libexec/burrow-client";
  # Determinate Nix manages Nix itself: there nix-darwin's nix.settings go nowhere.
  nixIsManaged = config.nix.enable or true;
  ownSettings = builtins.intersectAttrs {
    extra-substituters = null;
    extra-trusted-public-keys = null;
    extra-allowed-users = null;
    fallback = null;
    narinfo-cache-negative-ttl = null;
    netrc-file = null;
    connect-timeout = null;
    stalled-download-timeout = null;
    download-attempts = null;
  } config.nix.settings;
  toLine = name: value: "${name} = ${if builtins.isBool value then builtins.toJSON value else toString value}";
in
{
  imports = [ ./client-options.nix ];

  # Without the overlay there is no pkgs.burrow-client yet.
  options.services.burrow-client.package = lib.mkPackageOption (
    pkgs // { burrow-client = pkgs.burrow-client or (pkgs.callPackage ./client-package.nix { }); }
  ) "burrow-client" { };

  config = lib.mkIf client.enable (
    lib.mkMerge [
      {
        # burrow relay status, burrow push
        environment.systemPackages = [ client.package ];
        assertions = [
          {
            assertion = nixIsManaged || !client.push.postBuildHook;
            message = "services.burrow-client.push.postBuildHook needs nix.enable: nix-darwin does not write nix.conf without it. Use push.watchStore instead.";
          }
        ];
        warnings = lib.optional (!nixIsManaged) ''
          services.burrow-client: nix.enable is false, so nix-darwin does not write nix.conf. Add these lines to /etc/nix/nix.custom.conf yourself:
          ${builtins.concatStringsSep "\n" (lib.mapAttrsToList toLine ownSettings)}'';
      }
      (lib.mkIf (cfg.enable || isPushing) {
        users.users.${account} = {
          uid = lib.mkDefault 578;
          gid = config.users.groups.${account}.gid;
          description = "Burrow's relay and pushes";
          home = "/var/empty";
          shell = "/usr/bin/false";
          isHidden = true;
        };
        users.groups.${account} = {
          gid = lib.mkDefault 578;
          description = "Burrow's relay and pushes";
        };
        users.knownUsers = [ account ];
        users.knownGroups = [ account ];
        # It holds paths while it sends them, through the daemon.
        nix.settings.extra-allowed-users = [ account ];

        # After the users are made, before the daemons are loaded. What fails here must not keep a machine from its new configuration; the script says it.
        system.activationScripts.launchd.text = lib.mkBefore "${prepare} || true\n";
        launchd.daemons = lib.mkIf (sources != { }) {
          burrow-login = {
            command = "${prepare}";
            serviceConfig = {
              RunAtLoad = true;
              WatchPaths = builtins.attrValues sources;
              # Not in a directory of the account: launchd opens it as root.
              StandardErrorPath = "/var/log/burrow-login.log";
            };
          };
        };
      })
      (lib.mkIf cfg.enable {
        launchd.daemons.burrow-relay = lib.mkMerge [
          (daemon "relay")
          {
            # There is no --exit-idle: launchd gives its sockets only to programs that ask for them in C. No --allow-uid: it needs Linux.
            command = lib.escapeShellArgs (
              [
                program
                "relay"
                "--to"
                client.url
              ]
              ++ lib.optionals (hasNetrc && !hasPassword) [
                "--netrc-file"
                (copyOf "netrc")
              ]
              ++ lib.optional cfg.watch "--watch"
            );
            # NARs of other caches, and pushes of Nix's, may be compressed so.
            path = [
              pkgs.xz
              pkgs.bzip2
            ];
            environment = lib.optionalAttrs hasPassword {
              BURROW_USER = cfg.user;
              BURROW_PASSWORD_FILE = copyOf "password";
            };
            # As the nix-daemon, whose builds wait for it.
            serviceConfig.ProcessType = "Standard";
          }
        ];
      })
      (lib.mkIf isPushing {
        launchd.daemons.burrow-watch-store = lib.mkMerge [
          (daemon "watch-store")
          {
            command = lib.escapeShellArgs (
              [
                program
                "watch-store"
                "--to"
                client.url
              ]
              ++ lib.optionals hasNetrc [
                "--netrc-file"
                (copyOf "netrc")
              ]
              ++ lib.optionals client.push.postBuildHook [
                "--spool"
                spoolDir
              ]
            );
            serviceConfig.ProcessType = "Background";
          }
        ];
      })
    ]
  );
}
