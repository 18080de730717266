# Evaluates a configuration that uses the nix-darwin module, against stubs of nix-darwin's own options with its types: unknown options and launchd keys are refused.
#   nix-instantiate --eval --strict --json evaluate-darwin.nix --arg configuration '{ services.burrow-client.enable = true; … }'
{
  configuration ? { },
  modules ? [ ../../nixos/darwin-client.nix ],
}:
let
  pkgs = import ./stub-pkgs.nix;
  inherit (pkgs) lib;
  inherit (lib) mkOption types;
  option = type: default: mkOption { inherit type default; };
  required = type: mkOption { inherit type; };
  key = type: option (types.nullOr type) null;
  limits = types.submodule {
    options = {
      Core = key types.int;
      NumberOfFiles = key types.int;
    };
  };

  # launchd.plist(5), as far as nix-darwin declares it and a daemon without sockets may want it.
  serviceConfig.options = {
    Label = required types.str;
    UserName = key types.str;
    GroupName = key types.str;
    ProgramArguments = key (types.listOf types.str);
    EnvironmentVariables = key (types.attrsOf types.str);
    KeepAlive = key types.bool;
    RunAtLoad = key types.bool;
    WatchPaths = key (types.listOf types.path);
    WorkingDirectory = key types.str;
    StandardOutPath = key types.path;
    StandardErrorPath = key types.path;
    Umask = key types.int;
    ExitTimeOut = key types.int;
    ThrottleInterval = key types.int;
    ProcessType = key (
      types.enum [
        "Background"
        "Standard"
        "Adaptive"
        "Interactive"
      ]
    );
    SoftResourceLimits = key limits;
    HardResourceLimits = key limits;
  };

  daemon =
    { config, name, ... }:
    let
      variables = config.environment // (if config.path == [ ] then { } else { PATH = lib.makeBinPath config.path; });
    in
    {
      options = {
        environment = option (types.attrsOf types.str) { };
        path = option (types.listOf types.anything) [ ];
        command = option (types.either types.str types.path) "";
        serviceConfig = option (types.submodule serviceConfig) { };
      };
      config.serviceConfig = {
        Label = lib.mkDefault "org.nixos.${name}";
        # The Nix store is a volume of its own there, mounted after the start of the first daemons.
        ProgramArguments = [
          "/bin/sh"
          "-c"
          "/bin/wait4path /nix/store && exec ${config.command}"
        ];
        EnvironmentVariables = lib.mkIf (variables != { }) variables;
      };
    };

  nixDarwin = {
    options = {
      assertions = option (types.listOf types.anything) [ ];
      warnings = option (types.listOf types.str) [ ];
      environment.systemPackages = option (types.listOf types.package) [ ];
      launchd.daemons = option (types.attrsOf (types.submodule daemon)) { };
      system.activationScripts = option (types.attrsOf (types.submodule { options.text = option types.lines ""; })) { };
      nix.enable = option types.bool true;
      nix.package = option types.anything pkgs.nix;
      nix.settings = option (types.attrsOf types.anything) { };
      users.knownUsers = option (types.listOf types.str) [ ];
      users.knownGroups = option (types.listOf types.str) [ ];
      users.users = option (types.attrsOf (types.submodule user)) { };
      users.groups = option (types.attrsOf (types.submodule group)) { };
    };
    config.system.activationScripts.launchd.text = "echo setting up launchd services >&2";
  };
  user.options = {
    uid = required types.int;
    gid = option types.int 20;
    description = key types.str;
    home = key types.path;
    shell = key types.path;
    isHidden = option types.bool true;
  };
  group.options = {
    gid = required types.int;
    description = option types.str "";
  };

  inherit (lib.evalModules {
    modules = [ nixDarwin ] ++ modules ++ [ configuration ];
    specialArgs = { inherit pkgs; };
  }) config;
  set = value: if builtins.isAttrs value then builtins.mapAttrs (_: set) (lib.filterAttrs (_: inner: inner != null) value) else value;
  properties = builtins.mapAttrs (_: made: set made.serviceConfig) config.launchd.daemons;
in
{
  inherit (config) warnings;
  failures = map (entry: entry.message) (builtins.filter (entry: !entry.assertion) config.assertions);
  daemons = properties;
  # As nix-darwin writes them; only with nixpkgs' own library.
  plists = if lib ? generators then builtins.mapAttrs (_: lib.generators.toPlist { escape = true; }) properties else null;
  activation = config.system.activationScripts.launchd.text;
  nixSettings = config.nix.settings;
  users = { inherit (config.users) users groups knownUsers knownGroups; };
  packages = map (package: package.name) config.environment.systemPackages;
}
