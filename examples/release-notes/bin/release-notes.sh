#!/bin/sh
# Prints the commits since a tag as a list, newest first: release-notes.sh v1.2.0
set -eu
since=${1:?usage: release-notes.sh TAG}
printf '# Changes since %s\n\n' "$since"
git log --no-merges --format='- %s (%h)' "$since"..HEAD
