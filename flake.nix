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
      # The server needs Linux. The client does not. Newer nixpkgs have no x86_64-darwin.
      darwinSystems = builtins.filter (system: nixpkgs.legacyPackages ? ${system}) [
        "aarch64-darwin"
        "x86_64-darwin"
      ];
      forEach = names: make: lib.genAttrs names (system: make nixpkgs.legacyPackages.${system});
      forAll = forEach systems;
      clients = pkgs: {
        burrow-client = pkgs.callPackage ./nixos/client-package.nix { };
        burrow-push = pkgs.callPackage ./nixos/client-package.nix { isPushOnly = true; };
      };
    in
    {
      packages =
        forAll (
          pkgs:
          clients pkgs
          // rec {
            burrow = pkgs.callPackage ./nixos/package.nix { };
            default = burrow;
          }
        )
        // forEach darwinSystems (pkgs: clients pkgs // { default = (clients pkgs).burrow-client; });

      overlays.default = final: _previous: clients final // { burrow = final.callPackage ./nixos/package.nix { }; };

      nixosModules = rec {
        burrow = ./nixos/module.nix;
        client = ./nixos/client.nix;
        default = burrow;
      };

      # For nix-darwin.
      darwinModules = rec {
        client = ./nixos/darwin-client.nix;
        default = client;
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
        client = self.packages.${pkgs.stdenv.hostPlatform.system}.burrow-client;
        vm = import ./nixos/vm-test.nix { inherit pkgs; };
      });
    };
}
