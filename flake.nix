{
  description = "A private Nix binary cache at the end of a tunnel";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      forAll = make: lib.genAttrs systems (system: make nixpkgs.legacyPackages.${system});
    in
    {
      packages = forAll (pkgs: rec {
        burrow = pkgs.callPackage ./nixos/package.nix { };
        default = burrow;
      });

      overlays.default = final: _previous: { burrow = final.callPackage ./nixos/package.nix { }; };

      nixosModules = rec {
        burrow = ./nixos/module.nix;
        client = ./nixos/client.nix;
        default = burrow;
      };

      # nixos-rebuild build-vm --flake .#demo
      nixosConfigurations.demo = lib.nixosSystem {
        system = "x86_64-linux";
        modules = [
          ./nixos/demo/configuration.nix
          {
            nixpkgs.overlays = [ self.overlays.default ];
            # What a hardware file says on a real machine; `nix flake check` asks for it.
            fileSystems."/" = lib.mkDefault {
              device = "/dev/disk/by-label/nixos";
              fsType = "ext4";
            };
            boot.loader.grub.device = lib.mkDefault "nodev";
          }
        ];
      };

      devShells = forAll (pkgs: {
        default = pkgs.mkShell {
          packages = [
            pkgs.nodejs_24
            pkgs.nix
            pkgs.cloudflared
          ];
        };
      });

      checks = forAll (pkgs: {
        package = self.packages.${pkgs.stdenv.hostPlatform.system}.burrow;
        vm = import ./nixos/vm-test.nix { inherit pkgs; };
      });
    };
}
