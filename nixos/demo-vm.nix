# A virtual machine to try Burrow in. It runs on the machine that builds it, and needs no disk, boot loader, tunnel or secret.
{ lib, modulesPath, ... }:
{
  imports = [
    ./module.nix
    "${toString modulesPath}/virtualisation/qemu-vm.nix"
  ];
  networking.hostName = "burrow-demo";
  services.burrow = {
    enable = true;
    settings.public = true;
  };
  # A public password: only for a machine that no network can reach.
  users.users.root.initialPassword = "burrow";
  services.openssh.enable = lib.mkForce false;
  system.stateVersion = "25.05";
}
