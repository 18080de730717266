# Only the client: its commands in one file (scripts/bundle.mjs) and Node, for Linux and macOS. It needs no npm packages at run time.
#   nix run github:…#burrow-push -- --to https://cache.example.org ./result
{
  lib,
  stdenvNoCC,
  callPackage,
  nodejs-slim_24,
  esbuild,
  makeWrapper,
  # Only `burrow-push`, which does not get in the way of a whole `burrow` in the same profile.
  isPushOnly ? false,
}:
let
  manifest = lib.importJSON ../package.json;
  development = callPackage ./node-modules.nix { kind = "development"; };
  client = "$out/lib/burrow/client.mjs";
in
stdenvNoCC.mkDerivation {
  pname = if isPushOnly then "burrow-push" else "burrow-client";
  inherit (manifest) version;
  src = import ./source.nix { inherit lib; } "burrow-client-source" [
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
    install -Dm0644 dist/bundles/client.mjs ${client}
  ''
  + (
    if isPushOnly then
      ''
        makeWrapper ${lib.getExe nodejs-slim_24} $out/bin/burrow-push \
          --add-flags "${client} push"
      ''
    else
      ''
        makeWrapper ${lib.getExe nodejs-slim_24} $out/bin/burrow \
          --add-flags "${client}"
        # For services: half the memory while NARs pass.
        makeWrapper ${lib.getExe nodejs-slim_24} $out/libexec/burrow-client \
          --add-flags "--max-semi-space-size=2 ${client}"
      ''
  );

  doInstallCheck = stdenvNoCC.buildPlatform.canExecute stdenvNoCC.hostPlatform;
  installCheckPhase =
    if isPushOnly then
      ''
        $out/bin/burrow-push --help | grep -q -- --to
      ''
    else
      ''
        $out/bin/burrow relay --help | grep -q -- --to
        $out/libexec/burrow-client relay --help | grep -q -- --to
      '';

  passthru = { inherit development; };
  meta = {
    description =
      if isPushOnly then "Pushes Nix store paths to a Burrow cache" else "The client commands of Burrow, a private Nix binary cache";
    license = lib.licenses.mit;
    platforms = lib.platforms.unix;
    mainProgram = if isPushOnly then "burrow-push" else "burrow";
  };
}
