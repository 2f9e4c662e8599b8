#!/bin/sh
# Installs one of our programs in two steps, so that its image has two layers: what it depends on, which is large and
# changes seldom, and our own packages, which are all that a new version brings.
#   install.sh dependencies OPTIONS    into /opt/tailrace; OPTIONS are those of `uv sync`
#   install.sh packages FOLDER...      into /own/opt/tailrace, to be copied over it
set -eu
cd "$(dirname "$0")/.."
export PATH="$PWD/.tools:$PATH"
export SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
export UV_PROJECT_ENVIRONMENT=/opt/tailrace UV_PYTHON_PREFERENCE=only-system
export UV_CACHE_DIR=/var/cache/uv TMPDIR=/var/cache/uv UV_LINK_MODE=copy
# A container's root is read-only: what is not compiled here would be compiled at each start.
export PYC_INVALIDATION_MODE=UNCHECKED_HASH
step="$1"
shift
case "$step" in
    dependencies)
        uv sync --frozen --no-dev --no-install-workspace --compile-bytecode "$@"
        rm -f /opt/tailrace/.lock  # uv's own, which anybody may write to
        ;;
    packages)
        site="/own/opt/tailrace/lib/$(python3 -c 'import sys; print("python%d.%d" % sys.version_info[:2])')/site-packages"
        for folder in "$@"; do uv build --quiet --wheel --out-dir /wheels "$folder"; done
        uv pip install --quiet --no-deps --no-index --compile-bytecode --target "$site" /wheels/*.whl
        rm -f "$site/.lock"
        ;;
    *)
        echo "install.sh: there is no step '$step': use dependencies or packages" >&2
        exit 2
        ;;
esac
