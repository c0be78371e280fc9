#!/bin/sh
# Lists identifiers in Turtle files that the shape would refuse. Reads only; exit 1 when there is one.
set -eu
status=0
for file in "$@"; do
  for name in $(sed -n 's/.*core:identifier "\([^"]*\)".*/\1/p' "$file"); do
    if ! printf '%s\n' "$name" | grep -Eq '^[a-z][a-z0-9_]{0,62}$'; then
      printf '%s: %s\n' "$file" "$name"
      status=1
    fi
  done
done
exit "$status"
