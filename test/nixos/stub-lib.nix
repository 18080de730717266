# As much of nixpkgs' `lib` as the modules use: enough of the module system to merge definitions, check types, refuse unknown options and run assertions,
# so that the modules can be evaluated where nixpkgs cannot be had. Written from the NixOS manual ("Writing NixOS Modules"); where both differ, nixpkgs is right.
let
  inherit (builtins)
    attrNames
    concatLists
    concatMap
    concatStringsSep
    elem
    elemAt
    filter
    foldl'
    head
    isAttrs
    isBool
    isFunction
    isInt
    isList
    isString
    length
    listToAttrs
    map
    mapAttrs
    match
    stringLength
    substring
    toJSON
    ;

  optional = condition: value: if condition then [ value ] else [ ];
  optionalAttrs = condition: value: if condition then value else { };
  nameValuePair = name: value: { inherit name value; };
  mapAttrsToList = f: set: map (name: f name set.${name}) (attrNames set);
  mapAttrs' = f: set: listToAttrs (mapAttrsToList f set);
  filterAttrs = keep: set: listToAttrs (concatMap (name: optional (keep name set.${name}) (nameValuePair name set.${name})) (attrNames set));
  hasPrefix = prefix: text: substring 0 (stringLength prefix) text == prefix;
  hasInfix = part: text: match ".*${escape part}.*" text != null;
  escape = builtins.replaceStrings [ "$" "." "*" "[" "(" ] [ "\\$" "\\." "\\*" "\\[" "\\(" ];
  unique = foldl' (seen: name: if elem name seen then seen else seen ++ [ name ]) [ ];
  show = path: concatStringsSep "." path;
  isDerivation = value: isAttrs value && value ? type && value.type == "derivation";

  # --- properties: mkIf, mkMerge, mkDefault, mkForce ---
  mkIf = condition: content: { _property = "if"; inherit condition content; };
  mkMerge = contents: { _property = "merge"; inherit contents; };
  withPriority = priority: content: { _property = "priority"; inherit priority content; };
  mkDefault = withPriority 1000;
  mkForce = withPriority 50;
  # The order of definitions, which these stubs keep as it is.
  mkBefore = content: content;

  # A condition around a set is a condition around each of its values: it must not be needed to learn their names.
  pushDown =
    value:
    if !(isAttrs value) || isDerivation value then
      [ value ]
    else if value._property or null == "if" then
      map (mapAttrs (_: mkIf value.condition)) (pushDown value.content)
    else if value._property or null == "merge" then
      concatMap pushDown value.contents
    else
      [ value ];

  # The values that a definition amounts to, with their priorities.
  discharge =
    value:
    if isAttrs value && value ? _property then
      if value._property == "if" then
        (if value.condition then discharge value.content else [ ])
      else if value._property == "merge" then
        concatMap discharge value.contents
      else
        map (inner: inner // { inherit (value) priority; }) (discharge value.content)
    else
      [ { priority = 100; inherit value; } ];

  strongest =
    definitions:
    let
      least = foldl' (a: b: if b.priority < a then b.priority else a) 10000 definitions;
    in
    map (definition: definition.value) (filter (definition: definition.priority == least) definitions);

  # --- options and types ---
  mkOption = attrs: attrs // { _option = true; };
  mkEnableOption = what: mkOption { type = types.bool; default = false; description = "Whether to enable ${what}."; };

  mkPackageOption = pkgs: name: _: mkOption { type = types.package; default = pkgs.${name}; description = "The ${name} package to use."; };

  only = path: values: if length values == 1 then head values else throw "The option `${show path}' has conflicting definitions.";
  plain = name: check: { inherit name check; merge = only; };
  types = rec {
    str = plain "string" isString;
    externalPath = plain "absolute path not in the Nix store" (value: (isString value || builtins.isPath value) && hasPrefix "/" (toString value) && match "${builtins.storeDir}/[0-9a-z]{32}-.*" (toString value) == null);
    bool = plain "boolean" isBool;
    int = plain "signed integer" isInt;
    path = plain "absolute path" (value: (isString value || builtins.isPath value || isDerivation value) && hasPrefix "/" (toString value));
    lines = { name = "lines"; check = isString; merge = _: concatStringsSep "\n"; };
    either = a: b: {
      name = "${a.name} or ${b.name}";
      check = value: a.check value || b.check value;
      merge = path: values: (if builtins.all a.check values then a else b).merge path values;
    };
    package = plain "package" isAttrs;
    anything = {
      name = "anything";
      check = _: true;
      merge = path: values: if length values > 1 && builtins.all isAttrs values then foldl' (a: b: a // b) { } values else if length values > 1 && builtins.all isList values then concatLists values else only path values;
    };
    enum = words: plain "one of ${toJSON words}" (value: elem value words);
    strMatching = pattern: plain "string matching ${pattern}" (value: isString value && match pattern value != null);
    ints.unsigned = plain "unsigned integer" (value: isInt value && value >= 0);
    ints.between = least: most: plain "integer between" (value: isInt value && value >= least && value <= most);
    nullOr = type: {
      name = "null or ${type.name}";
      check = value: value == null || type.check value;
      merge = path: values: if builtins.all (value: value == null) values then null else type.merge path values;
    };
    listOf = type: {
      name = "list of ${type.name}";
      check = isList;
      merge = path: values: builtins.genList (at: resolve type (path ++ [ (toString at) ]) [ { priority = 100; value = elemAt (concatLists values) at; } ]) (length (concatLists values));
    };
    attrsOf = type: {
      name = "set of ${type.name}";
      check = isAttrs;
      merge = path: values: listToAttrs (map (name: nameValuePair name (resolve type (path ++ [ name ]) (concatMap (set: if set ? ${name} then discharge set.${name} else [ ]) values))) (unique (concatMap attrNames values)));
    };
    submodule = module: {
      name = "submodule";
      check = isAttrs;
      merge = path: values: (evaluate path ([ module ] ++ map (value: { config = value; }) values) { name = builtins.elemAt path (length path - 1); }).config;
    };
  };

  resolve =
    type: path: definitions:
    let
      values = strongest definitions;
      wrong = filter (value: !(type.check value)) values;
    in
    if wrong != [ ] then throw "A definition for option `${show path}' is not of type `${type.name}': ${toJSON (head wrong)}" else type.merge path values;

  # --- modules ---
  load = arguments: module: if isFunction module then load arguments (module arguments) else if builtins.isPath module || isString module then load arguments (import module) else module;
  withImports = arguments: module: let loaded = load arguments module; in concatMap (withImports arguments) (loaded.imports or [ ]) ++ [ loaded ];
  configOf = module: module.config or (removeAttrs module [ "options" "imports" "freeformType" "_file" ]);

  mergeOptions = sets: listToAttrs (map (name: nameValuePair name (let found = concatMap (set: optional (set ? ${name}) set.${name}) sets; in if (head found)._option or false then head found else mergeOptions found)) (unique (concatMap attrNames sets)));

  evaluate =
    path: modules: extra:
    let
      arguments = { inherit lib; config = config; options = { }; } // extra;
      loaded = concatMap (withImports arguments) modules;
      declared = mergeOptions (concatMap (module: optional (module ? options) (removeAttrs module.options [ ])) loaded);
      freeform = foldl' (found: module: module.freeformType or (module.options._freeform or found)) null loaded;
      config = fill path freeform declared (concatMap (module: pushDown (configOf module)) loaded);
    in
    { inherit config; };

  fill =
    path: freeform: options: definitions:
    let
      names = unique (attrNames options ++ concatMap attrNames definitions);
      unknown = if freeform == null then filter (name: !(options ? ${name})) names else [ ];
      one =
        name:
        let
          here = path ++ [ name ];
          given = concatMap (set: optional (set ? ${name}) set.${name}) definitions;
          option = options.${name} or null;
        in
        if option == null then
          resolve types.anything here (concatMap discharge given)
        else if option._option or false then
          let
            discharged = concatMap discharge given;
            all = discharged ++ optional (option ? default) { priority = 1500; value = option.default; };
          in
          if all == [ ] then throw "The option `${show here}' is used but not defined." else (option.apply or (value: value)) (resolve option.type here all)
        else
          fill here null option (concatMap pushDown given);
    in
    if unknown != [ ] then
      throw "The option `${show (path ++ [ (head unknown) ])}' does not exist."
    else
      listToAttrs (map (name: nameValuePair name (one name)) names);

  lib = {
    inherit
      mkIf
      mkMerge
      mkDefault
      mkForce
      mkBefore
      mkOption
      mkEnableOption
      mkPackageOption
      types
      optional
      optionalAttrs
      nameValuePair
      mapAttrsToList
      mapAttrs'
      filterAttrs
      hasPrefix
      hasInfix
      isAttrs
      isString
      filter
      mapAttrs
      concatStringsSep
      ;
    any = builtins.any;
    inherit (builtins) elem attrNames concatLists concatMap isList;
    makeBinPath = packages: concatStringsSep ":" (map (package: "${package}/bin") packages);
    optionals = condition: values: if condition then values else [ ];
    optionalString = condition: text: if condition then text else "";
    # As nixpkgs does: quotes only where they are needed.
    escapeShellArgs = words: concatStringsSep " " (map (word: if match "[[:alnum:],._+:@%/-]+" (toString word) != null then toString word else "'${builtins.replaceStrings [ "'" ] [ "'\\''" ] (toString word)}'") words);
    literalExpression = text: text;
    hiPrio = package: package;
    getExe = package: "${package}/bin/${package.meta.mainProgram or package.name}";
    importJSON = file: builtins.fromJSON (builtins.readFile file);
    assertMsg = claim: message: claim || throw message;
    fetchers.proxyImpureEnvVars = [ "http_proxy" "https_proxy" ];
    sourceTypes = { fromSource = "source"; binaryNativeCode = "binary"; };
    licenses.mit = "MIT";
    platforms.linux = [ "x86_64-linux" "aarch64-linux" ];
    cleanSource = path: path;
    genAttrs = names: f: listToAttrs (map (name: nameValuePair name (f name)) names);
    evalModules = { modules, specialArgs ? { } }: evaluate [ ] modules specialArgs;
  };
in
lib
