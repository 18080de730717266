# node_modules as package-lock.json wants it, made by npm itself in a fixed-output derivation: dependencies.json says what must come out
# (`npm run nix-hashes` writes it). Platform packages and install scripts are left out, so it is the same on every machine and runs nothing.
#
# Not nixpkgs' fetchNpmDeps or importNpmLock: they want the download address of every package in the lock file, and ours names none, so that any mirror will do.
{
  lib,
  stdenvNoCC,
  nodejs_24,
  cacert,
  # "production" or "development"
  kind ? "production",
}:
let
  hashes = lib.importJSON ./dependencies.json;
  lockSha256 = builtins.hashFile "sha256" ../package-lock.json;
  flags = lib.optional (kind == "production") "--omit=dev" ++ [
    "--omit=optional"
    "--ignore-scripts"
    "--no-bin-links"
    "--no-save"
    "--no-audit"
    "--no-fund"
    "--no-update-notifier"
  ];
in
# Else the old packages would be taken in silence: a fixed output with a known hash is not made again.
assert lib.assertMsg (hashes.lockSha256 == lockSha256)
  "nixos/dependencies.json is older than package-lock.json: run `npm run nix-hashes` and commit both.";
stdenvNoCC.mkDerivation {
  name = "burrow-node-modules-${kind}";
  nativeBuildInputs = [
    nodejs_24
    cacert
  ];
  # A proxy or a mirror of the registry reaches the build of a fixed output by these names alone.
  impureEnvVars = lib.fetchers.proxyImpureEnvVars ++ [ "NPM_CONFIG_REGISTRY" ];
  dontUnpack = true;
  buildPhase = ''
    cp ${../package.json} package.json
    cp ${../package-lock.json} package-lock.json
    HOME=$PWD npm install ${lib.concatStringsSep " " flags}
    # npm's own notes, and the empty folders some of its versions leave, are not part of what is wanted.
    rm -f node_modules/.package-lock.json
    find node_modules -type d -empty -delete
  '';
  # As a directory of that name: Node resolves a link to its real path, and looks for a package's own dependencies in parents called node_modules.
  installPhase = ''
    mkdir $out
    mv node_modules $out/node_modules
  '';
  dontFixup = true;
  outputHashMode = "recursive";
  outputHashAlgo = "sha256";
  outputHash = hashes.${kind};
}
