# Evaluates a configuration that uses the modules, as `nixos-rebuild` would, against the stubs (or nixpkgs' own library, see stub-pkgs.nix).
#   nix-instantiate --eval --strict --json evaluate.nix --arg configuration '{ services.burrow.enable = true; … }'
{
  configuration ? { },
  modules ? [ ../../nixos/module.nix ../../nixos/client.nix ],
}:
let
  pkgs = import ./stub-pkgs.nix;
  inherit (pkgs) lib;
  option = type: default: lib.mkOption { inherit type default; };
  any = option lib.types.anything;
  # Of NixOS's own options those that are set.
  nixos.options = {
    assertions = option (lib.types.listOf lib.types.anything) [ ];
    warnings = option (lib.types.listOf lib.types.str) [ ];
    systemd.packages = option (lib.types.listOf lib.types.anything) [ ];
    systemd.services = any { };
    systemd.sockets = any { };
    systemd.tmpfiles.rules = option (lib.types.listOf lib.types.str) [ ];
    nix.package = any pkgs.nix;
    environment.systemPackages = option (lib.types.listOf lib.types.anything) [ ];
    environment.etc = any { };
    environment.variables = any { };
    nix.settings = option (lib.types.attrsOf lib.types.anything) { };
    nix.gc = any { };
    networking = any { };
    services.openssh = any { };
    services.timesyncd = any { };
    services.chrony = any { };
    users.users = any { };
    boot.kernelModules = option (lib.types.listOf lib.types.anything) [ ];
    boot.kernel.sysctl = any { };
    system.stateVersion = any "";
  };
  inherit (lib.evalModules {
    modules = [ nixos ] ++ modules ++ [ configuration ];
    specialArgs = { inherit pkgs; modulesPath = ./stub-modules; };
  }) config;
  failed = builtins.filter (entry: !entry.assertion) config.assertions;
in
{
  inherit (config) warnings;
  failures = map (entry: entry.message) failed;
  # What the configuration file would hold.
  settings = config.environment.etc."burrow/burrow.json".source.attrs.unchecked.value or null;
  check = config.environment.etc."burrow/burrow.json".source.script or null;
  service = config.systemd.services.burrow or null;
  packages = map (package: package.name) config.systemd.packages;
  sockets = config.systemd.sockets;
  relay = config.systemd.services.burrow-relay or null;
  watchStore = config.systemd.services.burrow-watch-store or null;
  tmpfiles = config.systemd.tmpfiles.rules;
  etc = builtins.attrNames config.environment.etc;
  commands = builtins.concatMap (package: if package ? text then [ package.text ] else [ ]) config.environment.systemPackages;
  nixSettings = config.nix.settings;
  rootPassword = config.users.users.root.initialPassword or null;
  firewall = config.networking.firewall or null;
}
