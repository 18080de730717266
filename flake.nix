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
        burrow-push = pkgs.callPackage ./nixos/push-package.nix { };
        default = burrow;
      });

      overlays.default = final: _previous: {
        burrow = final.callPackage ./nixos/package.nix { };
        burrow-push = final.callPackage ./nixos/push-package.nix { };
      };

      nixosModules = rec {
        burrow = ./nixos/module.nix;
        client = ./nixos/client.nix;
        default = burrow;
      };

      # nix flake init --template github:OWNER/REPOSITORY (where you have Burrow from): a machine of your own, nixos/demo/flake.nix.
      templates.default = {
        path = ./nixos/demo;
        description = "A machine that serves its Nix store through a tunnel";
      };

      # To try out, with a cache on loopback and a login as root, password "burrow":
      #   nixos-rebuild build-vm --flake .#demo-vm
      # No plain `demo`: a machine needs its own disks and boot loader, so it needs a configuration of its own, from the template.
      nixosConfigurations.demo-vm = lib.nixosSystem {
        system = "x86_64-linux";
        modules = [
          ./nixos/demo-vm.nix
          { nixpkgs.overlays = [ self.overlays.default ]; }
        ];
      };

      formatter = forAll (pkgs: pkgs.nixfmt);

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
        push = self.packages.${pkgs.stdenv.hostPlatform.system}.burrow-push;
        vm = import ./nixos/vm-test.nix { inherit pkgs; };
      });
    };
}
