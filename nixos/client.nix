# services.burrow-client on NixOS: a machine that pulls from a Burrow cache, and optionally pushes what it builds. For nix-darwin: darwin-client.nix.
#
#   services.burrow-client = {
#     enable = true;
#     url = "https://cache.example.org";
#     publicKeys = [ "cache.example.org-1:…" ];
#     netrcFile = "/etc/nix/netrc";
#     push.watchStore = true;
#   };
#
# Or, with a relay beside Nix that does both (docs/relay.md): relay = { enable = true; watch = true; };
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.burrow-client;
  isPushing = cfg.push.watchStore || cfg.push.postBuildHook;
  spoolDir = "/var/spool/burrow";
in
{
  imports = [
    ./client-options.nix
    ./client-relay.nix
  ];

  # Without the overlay there is no pkgs.burrow yet.
  options.services.burrow-client.package = lib.mkPackageOption (
    pkgs // { burrow = pkgs.burrow or (pkgs.callPackage ./package.nix { }); }
  ) "burrow" { };

  config = lib.mkIf cfg.enable {
    systemd.tmpfiles.rules = lib.mkIf cfg.push.postBuildHook [ "d ${spoolDir} 0700 root root -" ];
    systemd.services = lib.mkIf isPushing {
      burrow-watch-store = {
        description = "Push store paths to ${cfg.url}";
        wantedBy = [ "multi-user.target" ];
        wants = [ "network-online.target" ];
        after = [
          "network-online.target"
          "nix-daemon.socket"
        ];
        serviceConfig = {
          ExecStart = lib.escapeShellArgs (
            [
              (lib.getExe cfg.package)
              "watch-store"
              "--to"
              cfg.url
            ]
            ++ lib.optionals (cfg.netrcFile != null) [
              "--netrc-file"
              cfg.netrcFile
            ]
            ++ lib.optionals cfg.push.postBuildHook [
              "--spool"
              spoolDir
            ]
          );
          # The queue, which survives restarts and outages.
          StateDirectory = "burrow-watch-store";
          StateDirectoryMode = "0700";
          Restart = "always";
          RestartSec = 10;
          # Usage error, login or access refused, config error: a restart does not help.
          RestartPreventExitStatus = "2 77 78";
          TimeoutStopSec = 60;
          # It runs as root, because it reads root's netrc file and Nix's database. The following options restrict it.
          CapabilityBoundingSet = "CAP_DAC_READ_SEARCH";
          NoNewPrivileges = true;
          PrivateTmp = true;
          ProtectHome = "read-only";
          ProtectSystem = "strict";
          ReadWritePaths = lib.optional cfg.push.postBuildHook spoolDir;
        };
      };
    };
  };
}
