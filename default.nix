# For those without flakes: `nix-build`, or `imports = [ "${burrow}/nixos/module.nix" ];` in a configuration.nix.
{
  pkgs ? import <nixpkgs> { },
}:
pkgs.callPackage ./nixos/package.nix { }
