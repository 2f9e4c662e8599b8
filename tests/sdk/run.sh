#!/usr/bin/env bash
# Runs the Node tests with the locked SDKs; says so when it cannot, and fails where nobody would read that (CI=true).
set -euo pipefail
cd "$(dirname "$0")"

wanted=20
found=$(node --version 2>/dev/null || echo none)
major=${found#v}
major=${major%%.*}

if ! command -v npm >/dev/null || ! [[ $major =~ ^[0-9]+$ ]] || ((major < wanted)); then
  echo "NOT RUN: the tests with OpenAI's Node client need node >= $wanted and npm (node here: $found)." >&2
  echo "To run them: install Node.js $wanted or newer with npm (https://nodejs.org), then \`make sdk\`." >&2
  [[ ${CI:-} != true ]]
  exit
fi

# openai 7 asks for Node 22, but runs on 20 too: npm's warning about that says nothing new.
npm ci --no-audit --no-fund --loglevel=error
exec node --test --test-reporter=spec openai.test.mjs
