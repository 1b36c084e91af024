#!/usr/bin/env bash
# Makes sure that what a step needs is there: installs Debian packages where it may, else says what is needed.
# Usage: scripts/setup.sh build | lab | test       (each takes in the one before) | quality
# It never downloads a compiler: Rust comes from where you have it.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=()   # Debian packages to install
missing=()    # what they are for, to be said where nothing can be installed

# want COMMAND PACKAGE WHAT-FOR
want() {
    if ! command -v "$1" >/dev/null 2>&1; then
        packages+=("$2")
        missing+=("$1 ($3; Debian package $2)")
    fi
}

install_packages() {
    [ ${#packages[@]} -gt 0 ] || return 0
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        echo "setup: installing ${packages[*]}"
        if DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null 2>&1; then
            return 0
        fi
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
        return 0
    fi
    echo "setup: this machine lacks:" >&2
    printf '  %s\n' "${missing[@]}" >&2
    echo "setup: install these, or run again as root on Debian or Ubuntu" >&2
    exit 1
}

need_rust() {
    if ! command -v cargo >/dev/null 2>&1; then
        echo "setup: cargo is missing; install Rust $(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml) or later" >&2
        exit 1
    fi
}

need_node() {
    local have
    have=$(node --version | sed 's/^v\([0-9]*\).*/\1/')
    if [ "$have" -lt 20 ]; then
        echo "setup: Node.js $have is too old for the page's build, 20 or later is needed" >&2
        exit 1
    fi
}

# venv NAME MODULES PACKAGES…: installs Python packages into target/NAME/venv, unless the modules are there.
venv() {
    local name=$1 modules=$2
    shift 2
    if [ ! -x "target/$name/venv/bin/python" ]; then
        python3 -m venv "target/$name/venv"
    fi
    if ! "target/$name/venv/bin/python" -c "import $modules" 2>/dev/null; then
        echo "setup: installing $* into target/$name/venv"
        "target/$name/venv/bin/pip" install -q "$@"
    fi
}

need_python() {
    want python3 python3 "$1"
    # A marker of python3-venv: Debian splits it from python3.
    python3 -c 'import ensurepip' 2>/dev/null || { packages+=(python3-venv); missing+=("python3-venv"); }
}

for_build() {
    need_rust
    want cmake cmake "builds libopus and the crypto library"
    want cc build-essential "C compiler and linker"
}

for_quality() {
    for_build
    want espeak-ng espeak-ng "the voice that is scored"
    need_python "runs PESQ"
    want python3-config python3-dev "headers that PESQ is compiled with"
}

for_lab() {
    for_build
    want node nodejs "builds the phone page"
    want npm npm "builds the phone page"
}

for_test() {
    for_lab
    want chromium chromium "end-to-end tests"
    want chromedriver chromium-driver "end-to-end tests"
    want sipp sip-tester "the SIP peer of the tests"
    want tshark tshark "looks at what was sent"
    want firefox-esr firefox-esr "end-to-end tests"
    want pulseaudio pulseaudio "Firefox's sound card"
    want ip iproute2 "a network of its own for Firefox"
    want unshare util-linux "a network of its own for Firefox"
    need_python "asks the REST API what its document does not foresee"
}

case "${1:-}" in
    build) for_build; install_packages ;;
    quality)
        for_quality
        install_packages
        venv quality 'numpy, pesq' numpy pesq==0.0.4
        ;;
    lab) for_lab; install_packages; need_node ;;
    test)
        for_test
        install_packages
        need_node
        if ! command -v geckodriver >/dev/null 2>&1 && [ ! -x target/tools/bin/geckodriver ]; then
            echo "setup: building geckodriver"
            cargo install --quiet --root target/tools geckodriver --locked
        fi
        venv rest schemathesis schemathesis==4.32.5
        ;;
    *) echo "usage: $0 build | lab | test | quality" >&2; exit 2 ;;
esac
