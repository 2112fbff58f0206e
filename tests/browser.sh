#!/usr/bin/env bash
# Shows the page of an output to a browser: tests/browser.sh OUT FOLDER. Leaves pictures in FOLDER (a desk and a telephone, light and
# dark) and the page as printed, and fails where the browser refuses anything, or wanted to load anything. Needs chromium.
set -euo pipefail
page="file://$(realpath "$1")/report.html"
mkdir -p "$2"
folder=$(realpath "$2")
profile=$(mktemp -d)
trap 'rm -rf "$profile"' EXIT
browse() {
    chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking \
        --disable-component-update --disable-sync --hide-scrollbars --user-data-dir="$profile" --enable-logging=stderr "$@" "$page" \
        2>"$folder/log"
    if grep -E 'CONSOLE|Refused|violates' "$folder/log"; then exit 1; fi
}
for look in 0-dark 1-light; do
    for width in 1200 500 390; do
        browse --blink-settings=preferredColorScheme="${look%%-*}" --window-size="$width,${3:-7000}" \
            --screenshot="$folder/${look#*-}-$width.png"
    done
done
browse --no-pdf-header-footer --print-to-pdf="$folder/print.pdf"
rm "$folder/log"
