# services.burrow: a private Nix binary cache behind a Cloudflare Tunnel.
#
#   services.burrow = {
#     enable = true;
#     settings.signing.keyFiles = [ "$CREDENTIALS_DIRECTORY/signing-key" ];
#     credentials.signing-key = "/var/keys/cache.example.org-1.secret";
#     users.ben.passwordHash = "$argon2id$…";
#     users.ci = { passwordFile = "/var/keys/burrow-ci"; access = [ "pull" "push" ]; };
#     tunnel = { mode = "token"; tokenFile = "/var/keys/tunnel-token"; hostname = "cache.example.org"; };
#   };
#
# The unit, with all hardening options, comes from the package (appliance/systemd/burrow.service). This module adds what depends on the configuration.
# There is no `openFirewall`: Burrow listens on loopback only, and the tunnel's connector opens outbound connections.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.services.burrow;
  json = pkgs.formats.json { };

  # The path of a credential as the program sees it: systemd puts a copy there that only the service can read.
  credential = name: "$CREDENTIALS_DIRECTORY/${name}";
  inStore = path: lib.hasPrefix "${builtins.storeDir}/" (toString path);
  # A path without quotes would be copied into the Nix store with the configuration.
  isShown = value: builtins.isPath value || inStore value;
  isGiven = value: value != null;

  userModule =
    { name, ... }:
    {
      options = {
        passwordHash = mkOption {
          type = types.nullOr types.str;
          default = null;
          example = "$argon2id$v=19$m=65536,t=2,p=1$…";
          description = "An argon2id hash of the password, as printed by `burrow hash-password`. It may be in the Nix store.";
        };
        passwordFile = mkOption {
          type = types.nullOr types.externalPath;
          default = null;
          example = "/var/keys/burrow-${name}";
          description = "A file with the password, outside the Nix store. Only root must be able to read it.";
        };
        access = mkOption {
          type = types.listOf (
            types.enum [
              "pull"
              "push"
              "admin"
            ]
          );
          default = [ "pull" ];
          description = "Access rights of the user.";
        };
        expires = mkOption {
          type = types.nullOr types.str;
          default = null;
          example = "2027-01-31T00:00:00Z";
          description = "Time at which the user expires.";
        };
      };
    };

  userCredential = name: "password-${name}";
  toUser =
    name: user:
    {
      inherit name;
      inherit (user) access;
    }
    // lib.optionalAttrs (isGiven user.passwordHash) { inherit (user) passwordHash; }
    // lib.optionalAttrs (isGiven user.passwordFile) { passwordFile = credential (userCredential name); }
    // lib.optionalAttrs (isGiven user.expires) { inherit (user) expires; };

  toTunnel =
    tunnel:
    lib.filterAttrs (_: isGiven) {
      inherit (tunnel)
        mode
        hostname
        protocol
        region
        edgeIpVersion
        gracePeriod
        logLevel
        haConnections
        ;
      extraArgs = if tunnel.extraArgs == [ ] then null else tunnel.extraArgs;
      tokenFile = if isGiven tunnel.tokenFile then credential "tunnel-token" else null;
      credentialsFile = if isGiven tunnel.credentialsFile then credential "tunnel-credentials" else null;
      binary = if tunnel.mode == "off" then null else "${tunnel.package}/bin/cloudflared";
    };

  # The settings, merged with the other options. null means absent.
  dropNulls = value: if lib.isAttrs value then lib.mapAttrs (_: dropNulls) (lib.filterAttrs (_: isGiven) value) else value;
  settings = dropNulls (
    cfg.settings
    # In the service: the directories from systemd. Outside (root's `burrow doctor` and `burrow tunnel setup`): the same directories by name.
    // { state = { dir = "\${STATE_DIRECTORY:-/var/lib/burrow}"; } // (cfg.settings.state or { }); }
    // lib.optionalAttrs (lib.isAttrs (cfg.settings.larder or { })) {
      larder = { dir = "\${CACHE_DIRECTORY:-/var/cache/burrow}/larder"; } // (cfg.settings.larder or { });
    }
    // lib.optionalAttrs (!cfg.mutableUsers) { mutableUsers = false; }
    // lib.optionalAttrs (!isPublic || cfg.users != { }) { users = (cfg.settings.users or [ ]) ++ lib.mapAttrsToList toUser cfg.users; }
    // lib.optionalAttrs (cfg.tunnel.mode != "off") { tunnel = toTunnel cfg.tunnel; }
  )
  # The only null with a meaning: no operator's listener, instead of the default one.
  // lib.optionalAttrs (cfg.settings.operator == null) { operator = null; };

  # The keys of config.schema.json that contain names of secret files.
  secretKeys = [
    "keyFiles"
    "passwordFile"
    "tokenFile"
    "credentialsFile"
  ];
  secretsIn =
    key: value:
    if lib.isAttrs value then
      lib.concatLists (lib.mapAttrsToList secretsIn value)
    else if lib.isList value then
      lib.concatMap (secretsIn key) value
    else
      lib.optional (lib.elem key secretKeys && isGiven value) { inherit key value; };

  # Valid names of credentials: file names without the characters that are special in LoadCredential= (":", "%") or in the settings ("$").
  isCredentialName = name: builtins.match "[A-Za-z0-9_@+][A-Za-z0-9._@+-]*" name != null;
  reserved = lib.attrNames generated;

  # Directories that the unit does not create are read-only unless they are listed.
  ownDirs = lib.filter (dir: lib.hasPrefix "/" dir && !(lib.hasPrefix "/var/lib/burrow" dir || lib.hasPrefix "/var/cache/burrow" dir)) (
    lib.filter lib.isString [
      (settings.state.dir or null)
      (if lib.isAttrs (settings.larder or false) then settings.larder.dir or null else null)
      (if lib.isAttrs (settings.depot or false) then settings.depot.dir or null else null)
    ]
  );
  canCheck = pkgs.stdenv.buildPlatform.canExecute pkgs.stdenv.hostPlatform;

  hasOwnFile = isGiven cfg.configFile;
  configPath = if hasOwnFile then toString cfg.configFile else "/etc/burrow/burrow.json";

  # Check the config at build time, as far as possible without the secrets, so that an error fails the build and not the start.
  configFile =
    pkgs.runCommand "burrow.json"
      {
        unchecked = json.generate "burrow-unchecked.json" settings;
        nativeBuildInputs = lib.optional canCheck cfg.package;
      }
      ''
        ${
          if canCheck then
            ''burrow --config "$unchecked" check-config --no-env''
          else
            "# Built for another platform, whose programs do not run here: the config is checked at the start."
        }
        cp "$unchecked" "$out"
      '';

  generated =
    lib.mapAttrs' (name: user: lib.nameValuePair (userCredential name) user.passwordFile) (
      lib.filterAttrs (_: user: isGiven user.passwordFile) cfg.users
    )
    // lib.optionalAttrs (isGiven cfg.tunnel.tokenFile) { tunnel-token = cfg.tunnel.tokenFile; }
    // lib.optionalAttrs (isGiven cfg.tunnel.credentialsFile) { tunnel-credentials = cfg.tunnel.credentialsFile; };
  credentials = cfg.credentials // generated;

  # For root in a shell: the same configuration, and the credentials of the running service.
  command = lib.hiPrio (
    pkgs.writeShellScriptBin "burrow" ''
      export BURROW_CONFIG="''${BURROW_CONFIG-${configPath}}"
      # A configuration file of the user's own may rely on these directories from systemd.
      ${lib.optionalString hasOwnFile ''export STATE_DIRECTORY="''${STATE_DIRECTORY-/var/lib/burrow}" CACHE_DIRECTORY="''${CACHE_DIRECTORY-/var/cache/burrow}"''}
      export CREDENTIALS_DIRECTORY="''${CREDENTIALS_DIRECTORY-/run/credentials/burrow.service}"
      exec ${lib.getExe cfg.package} "$@"
    ''
  );

  isPublic = cfg.settings.public or false;
  hasUsers = cfg.users != { } || (cfg.settings.users or [ ]) != [ ];
  literalUsers = lib.filter (
    user:
    let
      text = if lib.isString user then user else user.password or "";
    in
    text != "" && !(lib.hasInfix "$" text)
  ) (cfg.settings.users or [ ]);
in
{
  options.services.burrow = {
    enable = lib.mkEnableOption "Burrow, a private Nix binary cache behind a Cloudflare Tunnel";

    # Without the overlay, pkgs.burrow does not exist.
    package = lib.mkPackageOption (
      pkgs // { burrow = pkgs.burrow or (pkgs.callPackage ./package.nix { }); }
    ) "burrow" { };

    configFile = mkOption {
      type = types.nullOr types.externalPath;
      default = null;
      example = "/etc/burrow-private/burrow.json";
      description = ''
        A configuration file outside of the Nix store, instead of {option}`services.burrow.settings`, `.users` and `.tunnel`. Users and keys can then be changed with
        `systemctl reload burrow`. The service must be able to read the file. Pass secret files with {option}`services.burrow.credentials`. The file is checked
        when the service starts.
      '';
    };

    settings = mkOption {
      description = ''
        The configuration, as described in docs/configuration.md; every key of `config.schema.json` is allowed. Strings may hold `$NAME` for a variable of
        {option}`services.burrow.environmentFile` and `$CREDENTIALS_DIRECTORY/name` for an entry of {option}`services.burrow.credentials`.
        The configuration is stored in the Nix store, which all users of the machine can read: do not put secrets into it.
      '';
      default = { };
      type = types.submodule {
        freeformType = json.type;
        options = {
          listen = mkOption {
            type = types.strMatching "127\\.[0-9.]+:[0-9]+|\\[::1]:[0-9]+|localhost:[0-9]+|unix:/.+";
            default = "127.0.0.1:8080";
            example = "unix:/run/burrow/burrow.sock";
            description = "Address to which the tunnel connects: a loopback address or a unix socket.";
          };
          operator = mkOption {
            type = types.nullOr types.str;
            default = "unix:/run/burrow/operator.sock";
            description = "A second loopback listener for `burrow status` and Prometheus.";
          };
          public = mkOption {
            type = types.bool;
            default = false;
            description = "Whether everyone may pull.";
          };
          priority = mkOption {
            type = types.ints.unsigned;
            default = 50;
            description = "Clients ask caches with a lower number first. cache.nixos.org has 40, so public paths come from there.";
          };
          log.level = mkOption {
            type = types.enum [
              "trace"
              "debug"
              "info"
              "warn"
              "error"
              "fatal"
              "silent"
            ];
            default = "info";
            description = "Minimum log level.";
          };
        };
      };
    };

    users = mkOption {
      type = types.attrsOf (types.submodule userModule);
      default = { };
      example = lib.literalExpression ''{ ben.passwordFile = "/var/keys/burrow-ben"; }'';
      description = "Users of the cache, by the name in `login` of their netrc entry.";
    };

    mutableUsers = mkOption {
      type = types.bool;
      default = true;
      description = ''
        Whether `burrow user add`, `burrow invite` and the pages may add users beside those of {option}`services.burrow.users`, as `users.mutableUsers` does for the
        users of the machine. They are kept in /var/lib/burrow/users.json. A user of the configuration wins over an added one of the same name.
      '';
    };

    socketActivation = mkOption {
      type = types.bool;
      default = false;
      description = "Let systemd own the listening socket (burrow.socket of the package), so that no request is refused during a restart.";
    };

    environmentFile = mkOption {
      type = types.nullOr types.externalPath;
      default = null;
      example = "/var/keys/burrow.env";
      description = "A file of `NAME=value` lines for the variables in the settings; systemd reads it, so only root must be able to read it.";
    };

    credentials = mkOption {
      type = types.attrsOf types.externalPath;
      default = { };
      example = {
        signing-key = "/var/keys/cache.example.org-1.secret";
      };
      description = "Secret files by name, outside the Nix store. The settings refer to them as `$CREDENTIALS_DIRECTORY/name`.";
    };

    tunnel = {
      mode = mkOption {
        type = types.enum [
          "off"
          "quick"
          "token"
          "credentials"
        ];
        default = "off";
        description = "`token`: a tunnel that is managed at Cloudflare; `credentials`: a tunnel whose ingress rules Burrow writes; `quick`: a tunnel with a random name, for testing.";
      };
      hostname = mkOption {
        type = types.nullOr types.str;
        default = null;
        example = "cache.example.org";
        description = "The public host name.";
      };
      tokenFile = mkOption {
        type = types.nullOr types.externalPath;
        default = null;
        example = "/var/keys/tunnel-token";
        description = "A file with the tunnel's token, outside the Nix store.";
      };
      credentialsFile = mkOption {
        type = types.nullOr types.externalPath;
        default = null;
        example = "/var/keys/tunnel.json";
        description = "The JSON file that `cloudflared tunnel create` wrote, outside the Nix store.";
      };
      package = lib.mkPackageOption pkgs "cloudflared" { };
      protocol = mkOption {
        type = types.nullOr (
          types.enum [
            "http2"
            "quic"
            "auto"
          ]
        );
        default = null;
        description = "Protocol between connector and edge; the default is http2.";
      };
      region = mkOption {
        type = types.nullOr (
          types.enum [
            "global"
            "us"
          ]
        );
        default = null;
        description = "Region of the edge to connect to.";
      };
      edgeIpVersion = mkOption {
        type = types.nullOr (
          types.enum [
            "auto"
            "4"
            "6"
          ]
        );
        default = null;
        description = "IP version of the connections to the edge.";
      };
      gracePeriod = mkOption {
        type = types.nullOr types.str;
        default = null;
        example = "1m";
        description = "How long running downloads may continue after a stop; the default is 30s, the maximum is 3m.";
      };
      logLevel = mkOption {
        type = types.nullOr (
          types.enum [
            "debug"
            "info"
            "warn"
            "error"
          ]
        );
        default = null;
        description = "Minimum level of cloudflared's log lines in the journal.";
      };
      haConnections = mkOption {
        type = types.nullOr (types.ints.between 1 8);
        default = null;
        description = "Number of connections to the edge; the default is 4.";
      };
      extraArgs = mkOption {
        type = types.listOf types.str;
        default = [ ];
        description = "More flags for `cloudflared tunnel`.";
      };
    };
  };

  config = lib.mkIf cfg.enable {
    assertions =
      [
        {
          assertion = hasOwnFile || isPublic || cfg.mutableUsers || hasUsers;
          message = "services.burrow.users is empty and services.burrow.mutableUsers is false: add a user, or set services.burrow.settings.public = true to let everyone pull.";
        }
        {
          assertion = !(isPublic && hasUsers);
          message = "services.burrow.settings.public is true although services.burrow.users names users: no client would be asked for a password. Remove one of them.";
        }
        {
          assertion = cfg.tunnel.mode != "token" || isGiven cfg.tunnel.tokenFile;
          message = "services.burrow.tunnel.mode is \"token\": set services.burrow.tunnel.tokenFile.";
        }
        {
          assertion = cfg.tunnel.mode != "credentials" || (isGiven cfg.tunnel.credentialsFile && isGiven cfg.tunnel.hostname);
          message = "services.burrow.tunnel.mode is \"credentials\": set services.burrow.tunnel.credentialsFile and services.burrow.tunnel.hostname.";
        }
        {
          assertion = cfg.tunnel.mode != "quick" || cfg.tunnel.hostname == null;
          message = "services.burrow.tunnel.hostname cannot be chosen for a quick tunnel: remove it, or set services.burrow.tunnel.mode = \"token\".";
        }
        {
          assertion = !hasOwnFile || (cfg.users == { } && cfg.tunnel.mode == "off" && (cfg.settings.users or [ ]) == [ ]);
          message = "services.burrow.configFile takes the place of services.burrow.users and services.burrow.tunnel: keep one of them.";
        }
        {
          assertion = !hasOwnFile || !(inStore cfg.configFile);
          message = "services.burrow.configFile lies in the Nix store, which all users of the machine can read: use services.burrow.settings, or name a file elsewhere, as a string in quotes.";
        }
        {
          assertion = cfg.tunnel.mode == "off" || !(cfg.settings ? tunnel);
          message = "services.burrow.settings.tunnel and services.burrow.tunnel both describe the tunnel: keep one of them.";
        }
      ]
      ++ lib.mapAttrsToList (name: user: {
        assertion = isGiven user.passwordHash != isGiven user.passwordFile;
        message = "services.burrow.users.${name}: set exactly one of passwordHash and passwordFile.";
      }) cfg.users
      # The options' type detects only complete store paths, not all names below the store directory.
      ++ lib.mapAttrsToList (name: path: {
        assertion = !(inStore path);
        message = "The secret \"${name}\" of services.burrow lies in the Nix store (${toString path}), which all users of the machine can read: name a file elsewhere, as a string in quotes.";
      }) credentials
      ++ lib.optional (isGiven cfg.environmentFile) {
        assertion = !(inStore cfg.environmentFile);
        message = "services.burrow.environmentFile lies in the Nix store, which all users of the machine can read: name a file elsewhere, as a string in quotes.";
      }
      ++ lib.mapAttrsToList (name: user: {
        assertion = user.passwordFile == null || isCredentialName name;
        message = "services.burrow.users.\"${name}\": the name becomes that of a systemd credential, which takes letters, digits and \"._@+-\" only. Choose another name, or use passwordHash.";
      }) cfg.users
      ++ map (name: {
        assertion = isCredentialName name && !(lib.elem name reserved);
        message = "services.burrow.credentials.\"${name}\": choose a name of letters, digits and \"._@+-\" that no user or tunnel takes (password-NAME, tunnel-token, tunnel-credentials).";
      }) (lib.attrNames cfg.credentials)
      ++ map (secret: {
        assertion = !(isShown secret.value);
        message = "services.burrow.settings names a secret that lies in the Nix store, which all users of the machine can read (${secret.key}, ${toString secret.value}): name a file elsewhere by services.burrow.credentials, and \"$CREDENTIALS_DIRECTORY/NAME\" here.";
      }) (secretsIn "" cfg.settings);

    warnings =
      lib.optional (
        !hasOwnFile && !isPublic && !hasUsers && cfg.mutableUsers
      ) "services.burrow.users is empty: everyone is refused until a user is added with `burrow user add NAME` or `burrow invite NAME`. To let everyone pull, set services.burrow.settings.public = true."
      ++ lib.optional (cfg.tunnel.mode == "quick") "services.burrow.tunnel.mode is \"quick\": the host name changes at every start, and there is no uptime guarantee."
      ++ lib.optional (
        literalUsers != [ ]
      ) "services.burrow.settings.users holds a password in clear text in the Nix store, which all users of the machine can read: use services.burrow.users.<name>.passwordHash or passwordFile."
      ++ lib.optional (
        !hasOwnFile && cfg.settings.signing.keyFiles or null == null
      ) "services.burrow.settings.signing.keyFiles is not set: a key is made at the first start and kept in /var/lib/burrow; back it up, or clients must trust another after a reinstallation.";

    # The package contains the man pages. A wrapper instead of environment.variables, because sudo drops variables.
    environment.systemPackages = [
      cfg.package
      command
    ];
    environment.etc = lib.mkIf (!hasOwnFile) { "burrow/burrow.json".source = configFile; };

    # Burrow requests leases from the Nix daemon, which may not be open to all users.
    nix.settings.extra-allowed-users = [ "burrow" ];

    systemd.packages = [ cfg.package ];
    systemd.sockets = lib.mkIf cfg.socketActivation { burrow.wantedBy = [ "sockets.target" ]; };
    systemd.services.burrow = {
      wantedBy = [ "multi-user.target" ];
      # The socket may have failed after too many starts with an invalid config.
      wants = lib.optional cfg.socketActivation "burrow.socket";
      # A change of users needs only a reload, which does not interrupt downloads. Everything else needs a restart.
      reloadTriggers = lib.optional (!hasOwnFile) configFile;
      # One restart after the switch instead of a stop before it, so the cache is unavailable only for a moment.
      stopIfChanged = false;
      restartTriggers = lib.optional (!hasOwnFile) (builtins.toJSON (removeAttrs settings [ "users" "mutableUsers" ]));
      path = lib.optional (cfg.tunnel.mode != "off") cfg.tunnel.package ++ [
        pkgs.util-linux
        pkgs.xz
        pkgs.bzip2
      ];
      serviceConfig =
        {
          # The first, empty entry clears the ExecStart of the unit.
          ExecStart = [
            ""
            "${lib.getExe cfg.package} --config ${configPath} serve"
          ];
          LoadCredential = lib.mapAttrsToList (name: path: "${name}:${toString path}") credentials;
        }
        // lib.optionalAttrs (isGiven cfg.environmentFile) { EnvironmentFile = toString cfg.environmentFile; }
        // lib.optionalAttrs (ownDirs != [ ]) { ReadWritePaths = ownDirs; }
        # The value in the unit is for the default of 30 s; this one is sufficient for the maximum, 3m.
        // lib.optionalAttrs (isGiven cfg.tunnel.gracePeriod) { TimeoutStopSec = 240; };
    };
  };
}
