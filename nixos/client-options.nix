# services.burrow-client, as far as it is the same with systemd (client.nix) and launchd (darwin-client.nix): the options, their assertions, nix.conf and the
# post-build hook.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.services.burrow-client;
  spoolDir = "/var/spool/burrow";
  inStore = file: file != null && lib.hasPrefix "${builtins.storeDir}/" file;

  # Nix waits for this hook after each build, and the build fails if the hook fails. So it only writes a note, with a rename, and always exits with 0.
  # noclobber (-C): the hook is root, and must not follow a link that the user who reads the notes has put there.
  hook = pkgs.writeShellScript "burrow-post-build-hook" ''
    paths=''${OUT_PATHS:-}
    # Nix 2.8 leaves OUT_PATHS empty.
    [ -n "$paths" ] || paths=$(${config.nix.package}/bin/nix-store --query --outputs "$DRV_PATH")
    note=$$-''${EPOCHSECONDS:-0}-''${RANDOM:-0}
    umask 022
    set -C
    echo "$paths" > "${spoolDir}/.$note" && ${pkgs.coreutils}/bin/mv -T "${spoolDir}/.$note" "${spoolDir}/$note"
    exit 0
  '';
in
{
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

    relay = {
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
        description = "A file with the password alone, in place of {option}`services.burrow-client.netrcFile`. Root reads it for the relay.";
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
        assertion = !(inStore cfg.netrcFile);
        message = "services.burrow-client.netrcFile lies in the Nix store, which all users of the machine can read: name a file elsewhere, as a string in quotes.";
      }
      {
        assertion = !(cfg.relay.enable && cfg.relay.watch && (cfg.push.watchStore || cfg.push.postBuildHook));
        message = "services.burrow-client: relay.watch pushes what push.watchStore and push.postBuildHook push: keep one of them.";
      }
      {
        assertion = !cfg.relay.enable || (cfg.relay.passwordFile != null) == (cfg.relay.user != null);
        message = "services.burrow-client.relay: user and passwordFile go together.";
      }
      {
        assertion = !(inStore cfg.relay.passwordFile);
        message = "services.burrow-client.relay.passwordFile lies in the Nix store, which everybody on the machine can read: name a file elsewhere, as a string in quotes.";
      }
    ];

    # Defaults of ours: what the machine's own configuration says wins.
    nix.settings = lib.mkMerge [
      {
        extra-trusted-public-keys = cfg.publicKeys;
        # A cache that is asleep or cut off breaks no build: what cannot be fetched is built. The same if the relay does not run.
        fallback = lib.mkDefault true;
      }
      (lib.optionalAttrs cfg.push.postBuildHook { post-build-hook = hook; })
      (lib.mkIf cfg.relay.enable {
        extra-substituters = [ "http://127.0.0.1:8078" ];
        # While the cache cannot be reached, the relay says that its paths are absent, so that builds go on. Nix would believe it for an hour.
        narinfo-cache-negative-ttl = lib.mkDefault 60;
      })
      (lib.mkIf (!cfg.relay.enable) (
        {
          extra-substituters = [ cfg.url ];
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
