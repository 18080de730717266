# services.burrow-client.relay: `burrow relay` beside Nix, in the place of the cache itself. Part of client.nix.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  client = config.services.burrow-client;
  cfg = client.relay;
  address = "127.0.0.1:8078";
  hasPassword = cfg.passwordFile != null;
  hasNetrc = !hasPassword && client.netrcFile != null;
  inStore = file: file != null && lib.hasPrefix "${builtins.storeDir}/" file;
in
{
  options.services.burrow-client.relay = {
    enable = lib.mkEnableOption "a relay beside Nix, which holds the login, goes on with downloads that were cut, and fetches updates as deltas";
    watch = mkOption {
      type = types.bool;
      default = false;
      description = ''
        The relay also pushes each path that becomes valid in this store and that no upstream cache has, in place of
        {option}`services.burrow-client.push.watchStore`. The user needs `push` access.
      '';
    };
    user = mkOption {
      type = types.nullOr types.str;
      default = null;
      description = "The user at the cache, with {option}`services.burrow-client.relay.passwordFile`.";
    };
    passwordFile = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "/run/secrets/burrow";
      description = "A file with the password alone, in place of {option}`services.burrow-client.netrcFile`. Root reads it when the relay starts.";
    };
    allowUids = mkOption {
      type = types.listOf types.ints.unsigned;
      default = [ ];
      example = [ 0 1000 ];
      description = "User ids that may connect, and so download with the login; 0 is the nix-daemon. Empty: every user of this machine.";
    };
  };

  config = lib.mkIf (client.enable && cfg.enable) {
    assertions = [
      {
        assertion = !(cfg.watch && (client.push.watchStore || client.push.postBuildHook));
        message = "services.burrow-client: relay.watch pushes what push.watchStore and push.postBuildHook push: keep one of them.";
      }
      {
        assertion = hasPassword == (cfg.user != null);
        message = "services.burrow-client.relay: user and passwordFile go together.";
      }
      {
        assertion = !(inStore cfg.passwordFile);
        message = "services.burrow-client.relay.passwordFile lies in the Nix store, which everybody on the machine can read: name a file elsewhere, as a string in quotes.";
      }
    ];

    # A restart refuses no connection.
    systemd.sockets.burrow-relay = {
      description = "Burrow's relay, for Nix on this machine";
      wantedBy = [ "sockets.target" ];
      listenStreams = [ address ];
    };
    systemd.services.burrow-relay = {
      description = "Burrow, relaying ${client.url} to Nix on this machine";
      wantedBy = [ "multi-user.target" ];
      requires = [ "burrow-relay.socket" ];
      after = [
        "burrow-relay.socket"
        "network.target"
        "nix-daemon.socket"
      ];
      startLimitIntervalSec = 0;
      # NARs of other caches, and pushes of Nix's, may be compressed so.
      path = [
        pkgs.xz
        pkgs.bzip2
      ];
      environment = {
        # For glibc: fewer pools of free memory.
        MALLOC_ARENA_MAX = "2";
      }
      // lib.optionalAttrs hasPassword {
        BURROW_USER = cfg.user;
        BURROW_PASSWORD_FILE = "%d/password";
      };
      # As "burrow use --relay" writes it.
      serviceConfig = {
        ExecStart = builtins.concatStringsSep " " (
          [
            "${client.package}/libexec/burrow-client"
            "relay"
            "--to"
            # systemd: "%" begins a specifier.
            (builtins.replaceStrings [ "%" ] [ "%%" ] client.url)
          ]
          ++ lib.optionals hasNetrc [
            "--netrc-file"
            "%d/netrc"
          ]
          # The socket starts it again.
          ++ (
            if cfg.watch then
              [ "--watch" ]
            else
              [
                "--exit-idle"
                "5m"
              ]
          )
          ++ lib.optionals (cfg.allowUids != [ ]) ([ "--allow-uid" ] ++ map toString cfg.allowUids)
        );
        LoadCredential =
          lib.optional hasPassword "password:${toString cfg.passwordFile}"
          ++ lib.optional hasNetrc "netrc:${client.netrcFile}";
        DynamicUser = true;
        User = "burrow-relay";
        StateDirectory = "burrow-relay";
        StateDirectoryMode = "0700";
        TimeoutStopSec = 60;
        Restart = "on-failure";
        RestartSec = 5;
        RestartPreventExitStatus = "2 78";
        UMask = "0077";
        LimitNOFILE = 65536;
        LimitCORE = 0;
        CapabilityBoundingSet = "";
        AmbientCapabilities = "";
        NoNewPrivileges = true;
        ProtectSystem = "strict";
        ProtectHome = true;
        PrivateTmp = true;
        PrivateDevices = true;
        DevicePolicy = "closed";
        PrivateMounts = true;
        PrivateIPC = true;
        ProtectProc = "invisible";
        ProcSubset = "pid";
        ProtectClock = true;
        ProtectControlGroups = true;
        ProtectHostname = true;
        ProtectKernelLogs = true;
        ProtectKernelModules = true;
        ProtectKernelTunables = true;
        RemoveIPC = true;
        KeyringMode = "private";
        RestrictAddressFamilies = "AF_INET AF_INET6 AF_UNIX";
        RestrictNamespaces = true;
        RestrictRealtime = true;
        RestrictSUIDSGID = true;
        LockPersonality = true;
        SystemCallArchitectures = "native";
        SystemCallFilter = [
          "@system-service"
          "~@privileged @resources"
        ];
        SystemCallErrorNumber = "EPERM";
      };
    };

    nix.settings = {
      extra-substituters = [ "http://${address}" ];
      extra-trusted-public-keys = client.publicKeys;
      # The relay holds paths while it sends them, through the daemon.
      extra-allowed-users = [ "burrow-relay" ];
      # Should the relay itself not run, Nix builds without it.
      fallback = lib.mkDefault true;
      # While the cache cannot be reached, the relay says that its paths are absent, so that builds go on. Nix would believe it for an hour.
      narinfo-cache-negative-ttl = lib.mkDefault 60;
    };
  };
}
