#!/bin/sh
# Installs one of our packages in two steps, so that its image has two layers: what it depends on, which is large and
# changes seldom, and our own packages, which are all that a new version brings.
#   install.sh dependencies OPTIONS    into /opt/tailrace; OPTIONS are those of `uv sync`
#   install.sh packages OPTIONS        likewise; what is added lies in /own as well, to be copied over the first layer
set -eu
step="$1"
shift
case "$step" in
    dependencies)
        uv sync --no-install-workspace --compile-bytecode "$@"
        rm -f /opt/tailrace/.lock  # uv's own, which anybody may write to
        ;;
    packages)
        uv sync "$@"
        cd /opt/tailrace
        set -- lib/*/site-packages/tailrace_*
        bin/python -m compileall -q --invalidation-mode unchecked-hash "$@"
        mkdir -p /own/opt/tailrace
        cp -a --parents "$@" /own/opt/tailrace
        ;;
    *)
        echo "install.sh: there is no step '$step': use dependencies or packages" >&2
        exit 2
        ;;
esac
