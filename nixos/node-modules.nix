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
stdenvNoCC.mkDerivation {
  name = "burrow-node-modules-${kind}";
  nativeBuildInputs = [
    nodejs_24
    cacert
  ];
  dontUnpack = true;
  buildPhase = ''
    cp ${../package.json} package.json
    cp ${../package-lock.json} package-lock.json
    HOME=$PWD npm install ${lib.concatStringsSep " " flags}
    # npm's own notes, and the empty folders some of its versions leave, are not part of what is wanted.
    rm -f node_modules/.package-lock.json
    find node_modules -type d -empty -delete
  '';
  installPhase = "mv node_modules $out";
  dontFixup = true;
  outputHashMode = "recursive";
  outputHashAlgo = "sha256";
  outputHash = hashes.${kind};
}
