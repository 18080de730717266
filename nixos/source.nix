# What a package is made of: of the project, the files and folders that are named.
{ lib }:
name: parts:
let
  root = toString ../. + "/";
in
builtins.path {
  inherit name;
  path = ../.;
  filter = path: _type: lib.any (part: lib.hasPrefix "${root}${part}" (toString path)) parts;
}
