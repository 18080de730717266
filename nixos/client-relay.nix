# services.burrow-client.relay: `burrow relay` beside Nix, in the place of the cache itself, as a unit of systemd. Part of client.nix.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) types;
  client = config.services.burrow-client;
  cfg = client.relay;
  address = "127.0.0.1:8078";
  hasPassword = cfg.passwordFile != null;
  hasNetrc = !hasPassword && client.netrcFile != null;
in
{
  options.services.burrow-client.relay.allowUids = lib.mkOption {
    type = types.listOf types.ints.unsigned;
    default = [ ];
    example = [ 0 1000 ];
    description = "User ids that may connect, and so download with the login; 0 is the nix-daemon. Empty: every user of this machine.";
  };

  config = lib.mkIf (client.enable && cfg.enable) {
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

    # The relay holds paths while it sends them, through the daemon.
    nix.settings.extra-allowed-users = [ "burrow-relay" ];
  };
}
