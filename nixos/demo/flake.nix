# A machine of your own. Made by `nix flake init --template`; change "burrow.url" to the location of your copy of Burrow.
#   nixos-generate-config --show-hardware-config > hardware-configuration.nix        (required: the evaluation fails without it, since no disks are guessed)
#   nixos-rebuild switch --flake .#burrow
{
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";
  inputs.burrow.url = "path:/etc/burrow-source"; # CHANGE
  inputs.burrow.inputs.nixpkgs.follows = "nixpkgs";

  outputs =
    { nixpkgs, burrow, ... }:
    {
      nixosConfigurations.burrow = nixpkgs.lib.nixosSystem {
        system = "x86_64-linux"; # CHANGE
        modules = [
          burrow.nixosModules.default
          { nixpkgs.overlays = [ burrow.overlays.default ]; }
          ./configuration.nix
        ];
      };
    };
}
