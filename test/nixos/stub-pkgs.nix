# As much of nixpkgs' package set as the modules and the package use: derivations that are only named. What would be built is kept as an attribute, to be looked at.
let
  # The folder of nixpkgs' own library, where there is one: the repository nix-community/nixpkgs.lib, its `lib`.
  real = builtins.getEnv "BURROW_TEST_NIXPKGS_LIB";
  lib = if real == "" then import ./stub-lib.nix else import (/. + real);
  named = name: { type = "derivation"; inherit name; outPath = "/nix/store/00000000000000000000000000000000-${name}"; };
in
rec {
  inherit lib;
  burrow = named "burrow" // { meta.mainProgram = "burrow"; };
  cloudflared = named "cloudflared";
  util-linux = named "util-linux";
  coreutils = named "coreutils";
  xz = named "xz";
  esbuild = named "esbuild";
  bzip2 = named "bzip2";
  nodejs-slim_24 = named "nodejs-slim" // { meta.mainProgram = "node"; };
  nodejs_24 = named "nodejs" // { meta.mainProgram = "node"; };
  nix = named "nix";
  runtimeShell = "/bin/sh";
  writeShellScriptBin = name: text: named name // { inherit text; };
  writeShellScript = name: text: "${named name}" + "\n" + text;
  writeText = name: text: named name // { inherit text; };
  testers.runNixOSTest = test: named test.name // test;
  systemd = named "systemd";
  cacert = named "cacert";
  installShellFiles = named "install-shell-files";
  makeWrapper = named "make-wrapper";
  formats.json = _: { type = lib.types.anything; generate = name: value: named name // { inherit value; }; };
  runCommand = name: attrs: script: named name // { inherit attrs script; };
  stdenv.buildPlatform.canExecute = _: true;
  stdenv.hostPlatform.system = "x86_64-linux";
  stdenvNoCC.buildPlatform.canExecute = _: true;
  stdenvNoCC.hostPlatform.system = "x86_64-linux";
  stdenvNoCC.mkDerivation = attrs: let made = if builtins.isFunction attrs then attrs made else attrs; in named "${made.pname or made.name}" // made // (made.passthru or { });
  buildNpmPackage = stdenvNoCC.mkDerivation;
  mkShell = attrs: named "shell" // attrs;
  callPackage = file: overrides: let f = import file; in f (builtins.intersectAttrs (builtins.functionArgs f) (self // overrides));
  self = { inherit lib esbuild nix burrow cloudflared coreutils util-linux xz bzip2 nodejs_24 nodejs-slim_24 systemd cacert installShellFiles makeWrapper formats runCommand stdenvNoCC buildNpmPackage callPackage; };
}
