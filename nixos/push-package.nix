# Only the push command: the client in one file (scripts/bundle.mjs) and Node. It needs no npm packages at run time.
#   nix run github:…#burrow-push -- --to https://cache.example.org ./result
{
  lib,
  stdenvNoCC,
  callPackage,
  nodejs-slim_24,
  esbuild,
  makeWrapper,
}:
let
  manifest = lib.importJSON ../package.json;
  development = callPackage ./node-modules.nix { kind = "development"; };
in
stdenvNoCC.mkDerivation {
  pname = "burrow-push";
  inherit (manifest) version;
  src = import ./source.nix { inherit lib; } "burrow-push-source" [
    "appliance"
    "src"
    "scripts"
    "package.json"
    "tsconfig.json"
  ];
  nativeBuildInputs = [
    nodejs-slim_24
    esbuild
    makeWrapper
  ];

  buildPhase = ''
    ln -s ${development}/node_modules node_modules
    node scripts/bundle.mjs client
  '';

  installPhase = ''
    install -Dm0644 dist/bundles/client.mjs $out/lib/burrow/client.mjs
    makeWrapper ${lib.getExe nodejs-slim_24} $out/bin/burrow-push \
      --add-flags "$out/lib/burrow/client.mjs push"
  '';

  doInstallCheck = stdenvNoCC.buildPlatform.canExecute stdenvNoCC.hostPlatform;
  installCheckPhase = ''
    $out/bin/burrow-push --help | grep -q -- --to
  '';

  passthru = { inherit development; };
  meta = {
    description = "Pushes Nix store paths to a Burrow cache";
    license = lib.licenses.mit;
    platforms = lib.platforms.unix;
    mainProgram = "burrow-push";
  };
}
