# The sources of a package: only the listed files and directories of the project.
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
