# services.burrow-client: a machine that pulls from a Burrow.
#
#   services.burrow-client = {
#     enable = true;
#     url = "https://cache.example.org";
#     publicKeys = [ "cache.example.org-1:…" ];
#     netrcFile = "/etc/nix/netrc";
#   };
{
  config,
  lib,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.services.burrow-client;
in
{
  options.services.burrow-client = {
    enable = lib.mkEnableOption "pulling from a Burrow";
    url = mkOption {
      type = types.strMatching "https?://[^@?#]+";
      example = "https://cache.example.org";
      description = "The cache, without user and password: those belong into the netrc file.";
    };
    publicKeys = mkOption {
      type = types.listOf types.str;
      example = [ "cache.example.org-1:F4iBfbDhlwEr…" ];
      description = "The keys the cache signs with, as `burrow client-config` prints them.";
    };
    netrcFile = mkOption {
      type = types.nullOr types.str;
      default = "/etc/nix/netrc";
      description = "A file with `machine HOST login NAME password PASSWORD`, mode 0600, read by nix-daemon (root); null for a public cache.";
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = cfg.publicKeys != [ ];
        message = "services.burrow-client.publicKeys is empty: without a key to trust, nothing from the cache is accepted.";
      }
      {
        assertion = cfg.netrcFile == null || !(lib.hasPrefix "${builtins.storeDir}/" cfg.netrcFile);
        message = "services.burrow-client.netrcFile lies in the Nix store, which everybody on the machine can read: name a file elsewhere, as a string in quotes.";
      }
    ];

    # Defaults of ours: what the machine's own configuration says wins.
    nix.settings = {
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
    } // lib.optionalAttrs (cfg.netrcFile != null) { netrc-file = lib.mkDefault cfg.netrcFile; };
  };
}
