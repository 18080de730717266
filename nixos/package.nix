# Burrow as a Nix package: its sources, run with Node 24's type stripping, and the npm packages of package-lock.json. The build downloads nothing and does not run
# downloaded code (node-modules.nix): nixpkgs' esbuild bundles development packages into single files (scripts/bundle.mjs).
{
  lib,
  stdenvNoCC,
  callPackage,
  nodejs-slim_24,
  esbuild,
  makeWrapper,
  installShellFiles,
  coreutils,
  util-linux,
  systemd,
  xz,
  bzip2,
}:
let
  manifest = lib.importJSON ../package.json;
  node_modules = callPackage ./node-modules.nix { };
  development = callPackage ./node-modules.nix { kind = "development"; };
  canRun = stdenvNoCC.buildPlatform.canExecute stdenvNoCC.hostPlatform;
in
stdenvNoCC.mkDerivation {
  pname = "burrow";
  inherit (manifest) version;
  src = import ./source.nix { inherit lib; } "burrow-source" [
    "appliance"
    "src"
    "docs"
    "man"
    "monitoring"
    "scripts"
    "package.json"
    "config.schema.json"
    "config.example.json"
  ];
  nativeBuildInputs = [
    nodejs-slim_24
    esbuild
    makeWrapper
    installShellFiles
  ];

  buildPhase = ''
    ln -s ${development}/node_modules node_modules
    node scripts/bundle.mjs
    rm node_modules
  '';

  installPhase = ''
    mkdir -p $out/lib/burrow
    cp -r appliance src docs package.json config.schema.json config.example.json $out/lib/burrow/
    mkdir $out/lib/burrow/dist
    cp -r dist/bundles $out/lib/burrow/dist/
    # The symlink to the launcher for checkouts, which looks for Node: not needed here.
    rm $out/lib/burrow/appliance/main.ts
    ln -s ${node_modules}/node_modules $out/lib/burrow/node_modules
    # setpriv ends the connector together with Burrow, systemd-notify reports readiness to systemd, xz and bzip2 decompress files of other caches.
    makeWrapper ${lib.getExe nodejs-slim_24} $out/bin/burrow \
      --add-flags "--disable-warning=ExperimentalWarning $out/lib/burrow/appliance/program.ts" \
      --suffix PATH : ${
        lib.makeBinPath [
          util-linux
          systemd
          xz
          bzip2
        ]
      }
    # The commands of the near end alone take half the memory.
    makeWrapper ${lib.getExe nodejs-slim_24} $out/libexec/burrow-client \
      --add-flags "--max-semi-space-size=2 $out/lib/burrow/dist/bundles/client.mjs"
    installManPage man/*
    ${lib.optionalString canRun ''
      for shell in bash zsh fish; do $out/bin/burrow completion $shell > burrow.$shell; done
      installShellCompletion burrow.{bash,zsh,fish}
    ''}
    install -Dm0644 -t $out/share/burrow/monitoring monitoring/*
    for unit in burrow.service burrow.socket; do
      install -Dm0644 appliance/systemd/$unit $out/lib/systemd/system/$unit
    done
    substituteInPlace $out/lib/systemd/system/burrow.service --replace-fail /usr/bin/burrow $out/bin/burrow \
      --replace-fail 'ExecReload=kill ' 'ExecReload=${coreutils}/bin/kill '
  '';

  # Check that it starts with the installed packages and this Node.
  doInstallCheck = canRun;
  installCheckPhase = ''
    test "$($out/bin/burrow version)" = "burrow ${manifest.version}"
  '';

  passthru = { inherit node_modules development; };
  meta = {
    inherit (manifest) description;
    license = lib.licenses.mit;
    # The npm packages contain prebuilt native code (sodium-native).
    sourceProvenance = [
      lib.sourceTypes.fromSource
      lib.sourceTypes.binaryNativeCode
    ];
    platforms = lib.platforms.linux;
    mainProgram = "burrow";
  }
  # The URL of the sources; package.json contains it once they are published.
  // lib.optionalAttrs (manifest ? homepage) { inherit (manifest) homepage; };
}
