#!/bin/sh
# Runs the commands of docs/gallery.md, which write its pictures: sh docs/draw.sh, with isoloss in your PATH.
set -eu
cd "$(dirname "$0")/.."
export ISOLOSS_NO_CACHE=true
sed -n '/^```sh$/,/^```$/{/^```/!p}' docs/gallery.md | sed 's/^timeout\(.*\)$/timeout\1 || [ $? = 124 ]/' | sh -eu
