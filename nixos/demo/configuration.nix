# A complete machine that serves its Nix store through a tunnel: rented or at home, behind NAT or not. Only SSH is reachable from outside.
#
#   1. `nix flake init --template` (see flake.nix) in an empty /etc/nixos; change the lines marked CHANGE, and create the secrets:
#        install -d -m 0700 /var/keys
#        umask 077
#        nix-build default.nix                                            (in Burrow's directory: result/bin/burrow; later it is on PATH)
#        burrow keygen cache.example.org-1 > /var/keys/signing-key        (also prints the public key)
#        echo '{"public":true,"state":{"dir":"/var/keys/setup"}}' > /var/keys/setup.json      (only for the next line; not used for serving)
#        burrow --config /var/keys/setup.json tunnel setup --hostname cache.example.org
#        cp /var/keys/setup/tunnel-token /var/keys/                       (or paste the token of an existing tunnel)
#        echo 'BEN_PASSWORD=…' > /var/keys/burrow.env
#   2. nixos-rebuild switch
#   3. burrow doctor                                                       (with `set -a; . /var/keys/burrow.env` first, to check passwords too)
{
  lib,
  pkgs,
  modulesPath,
  ...
}:
{
  imports =
    # With the template's flake, the module comes from Burrow. In Burrow's own directory, it is next to this file.
    lib.optional (builtins.pathExists ../module.nix) ../module.nix
    # The hardware file of the provider or the installer, if there is one.
    ++ lib.optional (builtins.pathExists ./hardware-configuration.nix) ./hardware-configuration.nix
    ++ lib.optional (builtins.pathExists /etc/nixos/hardware-configuration.nix) /etc/nixos/hardware-configuration.nix
    # Hosts with cloud-init have what they need in the image.
    ++ lib.optional (builtins.pathExists ./networking.nix) ./networking.nix
    ++ [ "${toString modulesPath}/profiles/headless.nix" "${toString modulesPath}/profiles/minimal.nix" ];

  networking.hostName = "burrow"; # CHANGE

  # --- the cache ---
  services.burrow = {
    enable = true;
    credentials.signing-key = "/var/keys/signing-key";
    environmentFile = "/var/keys/burrow.env";
    settings = {
      signing.keyFiles = [ "$CREDENTIALS_DIRECTORY/signing-key" ];
      larder.maxBytes = "50 GiB";
      # Passwords come from the environment file: BEN_PASSWORD=…
      users = [
        {
          name = "ben";
          password = "$BEN_PASSWORD";
        }
      ];
    };
    tunnel = {
      mode = "token";
      tokenFile = "/var/keys/tunnel-token";
      hostname = "cache.example.org"; # CHANGE
    };
  };

  # --- access for the administrator ---
  services.openssh = {
    enable = true;
    settings = {
      PasswordAuthentication = false;
      KbdInteractiveAuthentication = false;
      PermitRootLogin = "prohibit-password";
    };
  };
  users.users.root.openssh.authorizedKeys.keys = [ ]; # CHANGE: "ssh-ed25519 …"
  # To close this port too, add a second public hostname to the tunnel, ssh.example.org -> ssh://127.0.0.1:22, connect with
  #   ssh -o ProxyCommand="cloudflared access ssh --hostname ssh.example.org" root@ssh.example.org
  # and, when that works, set services.openssh.openFirewall = false.
  networking.firewall = {
    enable = true;
    allowedTCPPorts = [ ];
    allowedUDPPorts = [ ];
  };

  # --- a reliable clock for TLS and expiring users: all of these servers smear leap seconds in the same way, so they can be mixed ---
  services.timesyncd.enable = false;
  services.chrony = {
    enable = true;
    servers = [
      "time1.google.com"
      "time2.google.com"
      "time3.google.com"
      "time4.google.com"
    ];
  };

  # --- networks with high latency: BBR uses a lossy uplink fully ---
  boot.kernelModules = [ "tcp_bbr" ];
  boot.kernel.sysctl = {
    "net.ipv4.tcp_congestion_control" = "bbr";
    "net.core.default_qdisc" = "fq";
    # Recommended for cloudflared over QUIC; harmless otherwise.
    "net.core.rmem_max" = 7500000;
    "net.core.wmem_max" = 7500000;
  };

  # --- keep the store from filling the disk ---
  nix.gc = {
    automatic = true;
    dates = "weekly";
    options = "--delete-older-than 60d";
  };
  nix.settings = {
    min-free = 5 * 1024 * 1024 * 1024;
    max-free = 20 * 1024 * 1024 * 1024;
  };

  environment.systemPackages = [ pkgs.cloudflared ];
  system.stateVersion = "25.05";
}
