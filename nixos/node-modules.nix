# node_modules according to package-lock.json, made by npm in a fixed-output derivation. dependencies.json contains the expected hashes
# (`npm run nix-hashes` writes it). Platform packages and install scripts are excluded, so the result is the same on every machine and no downloaded code is run.
#
# Not nixpkgs' fetchNpmDeps or importNpmLock: they need the download URL of every package in the lock file. Ours contains no URLs, so that any mirror works.
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
# Otherwise the old packages would be used without a message: a fixed output with a known hash is not built again.
assert lib.assertMsg (hashes.lockSha256 == lockSha256)
  "nixos/dependencies.json is older than package-lock.json: run `npm run nix-hashes` and commit both.";
stdenvNoCC.mkDerivation {
  name = "burrow-node-modules-${kind}";
  nativeBuildInputs = [
    nodejs_24
    cacert
  ];
  # The build of a fixed output gets a proxy or a registry mirror only through these variables.
  impureEnvVars = lib.fetchers.proxyImpureEnvVars ++ [ "NPM_CONFIG_REGISTRY" ];
  dontUnpack = true;
  buildPhase = ''
    cp ${../package.json} package.json
    cp ${../package-lock.json} package-lock.json
    HOME=$PWD npm install ${lib.concatStringsSep " " flags}
    # Remove npm's own metadata, and empty directories that some versions of npm leave.
    rm -f node_modules/.package-lock.json
    find node_modules -type d -empty -delete
  '';
  # A directory of this name: Node resolves symlinks, and looks for the dependencies of a package in parent directories called node_modules.
  installPhase = ''
    mkdir $out
    mv node_modules $out/node_modules
  '';
  dontFixup = true;
  outputHashMode = "recursive";
  outputHashAlgo = "sha256";
  outputHash = hashes.${kind};
}
