# services.burrow-client: a machine that pulls from a Burrow cache, and optionally pushes what it builds.
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
  inherit (lib) mkOption types;
  cfg = config.services.burrow-client;
  isPushing = cfg.push.watchStore || cfg.push.postBuildHook;
  spoolDir = "/var/spool/burrow";

  # Nix waits for this hook after each build, and the build fails if the hook fails. So it only writes a note, with a rename, and always exits with 0.
  hook = pkgs.writeShellScript "burrow-post-build-hook" ''
    paths=''${OUT_PATHS:-}
    # Nix 2.8 leaves OUT_PATHS empty.
    [ -n "$paths" ] || paths=$(${config.nix.package}/bin/nix-store --query --outputs "$DRV_PATH")
    note=$(${pkgs.coreutils}/bin/mktemp ${spoolDir}/.XXXXXXXXXX) &&
      echo "$paths" > "$note" &&
      ${pkgs.coreutils}/bin/mv "$note" "${spoolDir}/''${note##*/.}"
    exit 0
  '';
in
{
  imports = [ ./client-relay.nix ];

  options.services.burrow-client = {
    enable = lib.mkEnableOption "pulling from a Burrow cache";
    url = mkOption {
      type = types.strMatching "https?://[^@?#]+";
      example = "https://cache.example.org";
      description = "URL of the cache, without user and password. Put these into the netrc file.";
    };
    publicKeys = mkOption {
      type = types.listOf types.str;
      example = [ "cache.example.org-1:F4iBfbDhlwEr…" ];
      description = "Public keys of the cache, as printed by `burrow client-config`.";
    };
    netrcFile = mkOption {
      type = types.nullOr types.str;
      default = "/etc/nix/netrc";
      description = "A file with `machine HOST login NAME password PASSWORD`, mode 0600, read by nix-daemon (root). Use null for a public cache.";
    };

    # Without the overlay there is no pkgs.burrow yet.
    package = lib.mkPackageOption (
      pkgs // { burrow = pkgs.burrow or (pkgs.callPackage ./package.nix { }); }
    ) "burrow" { };

    push = {
      watchStore = mkOption {
        type = types.bool;
        default = false;
        description = ''
          Run a service that pushes each path that becomes valid in this store, by a build or by a copy, and that no upstream cache has. The user in
          the netrc file needs `push` access.
        '';
      };
      postBuildHook = mkOption {
        type = types.bool;
        default = false;
        description = ''
          Run the service only for paths that are built on this machine: a post-build hook writes a note of each build to ${spoolDir}. Builds do not wait for the cache, and do not fail
          without it. Use this instead of {option}`services.burrow-client.push.watchStore`.
        '';
      };
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = !(cfg.push.watchStore && cfg.push.postBuildHook);
        message = "services.burrow-client.push: watchStore and postBuildHook push the same builds: keep one of them.";
      }
      {
        assertion = cfg.publicKeys != [ ];
        message = "services.burrow-client.publicKeys is empty: without a key to trust, nothing from the cache is accepted.";
      }
      {
        assertion = cfg.netrcFile == null || !(lib.hasPrefix "${builtins.storeDir}/" cfg.netrcFile);
        message = "services.burrow-client.netrcFile lies in the Nix store, which all users of the machine can read: name a file elsewhere, as a string in quotes.";
      }
    ];

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

    # Defaults of ours: what the machine's own configuration says wins.
    nix.settings = lib.mkMerge [
      (lib.optionalAttrs cfg.push.postBuildHook { post-build-hook = hook; })
      (lib.mkIf (!cfg.relay.enable) (
        {
          extra-substituters = [ cfg.url ];
          extra-trusted-public-keys = cfg.publicKeys;
          # A cache that is asleep or cut off breaks no build: what cannot be fetched is built.
          fallback = lib.mkDefault true;
          # A tunnel that is down answers at once (530); one that cannot be reached at all should not hold up every build for long.
          connect-timeout = lib.mkDefault 5;
          # Beyond the 100 s after which the edge gives up by itself.
          stalled-download-timeout = lib.mkDefault 120;
          # A broken download goes on where it broke: more attempts cost little.
          download-attempts = lib.mkDefault 7;
        }
        // lib.optionalAttrs (cfg.netrcFile != null) { netrc-file = lib.mkDefault cfg.netrcFile; }
      ))
    ];
  };
}
