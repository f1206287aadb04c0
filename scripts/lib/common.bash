# What the scripts share. Source it: . "$(dirname "${BASH_SOURCE[0]}")/lib/common.bash"
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

# say TEXT...: one line for the person who watches. On standard error, so that standard output stays a program's own.
say() {
    printf '%s\n' "$*" >&2
}

# fail TEXT...: says why and ends the script.
fail() {
    say "${0##*/}: $*"
    exit 1
}

# wrong_usage TEXT...: the same with the exit status that means "you typed something I do not know".
wrong_usage() {
    say "${0##*/}: $* (see ${0##*/} --help)"
    exit 2
}

# usage: prints the comment at the head of the script that calls it, which is its manual.
usage() {
    awk 'NR == 1 { next } /^#/ { sub(/^# ?/, ""); print; next } { exit }' "$0"
}

# need COMMAND PACKAGE_GROUP: ends with a sentence if COMMAND is not there.
need() {
    command -v "$1" >/dev/null 2>&1 ||
        fail "the command '$1' is missing; 'scripts/install-packages $2' installs it"
}

# quietly COMMAND...: shows what the command said only when it failed.
quietly() {
    local output
    if ! output=$("$@" 2>&1); then
        say "$output"
        return 1
    fi
}

# Compiler output is found again in any checkout on the machine: paths below the checkout are made relative, and
# the folder itself is left out of what is compared. Where there is no home to keep it, it lies in build/.
use_compiler_cache() {
    export CCACHE_BASEDIR="$root" CCACHE_NOHASHDIR=1
    if [[ -z ${CCACHE_DIR:-} && ! -w ${HOME:-/nonexistent} ]]; then
        export CCACHE_DIR="$root/build/ccache"
    fi
}

# build_preset PRESET [TARGET...]: configures and builds build/PRESET. Progress goes to standard error: in one line on
# a terminal; elsewhere only what the compiler has to say.
build_preset() {
    local preset=$1
    shift
    local -a before=() arguments=()
    use_compiler_cache
    if [[ $preset == tsan ]]; then
        before=("${without_address_randomisation[@]}")
    fi
    if (($# > 0)); then
        arguments+=(--target "$@")
    fi
    arguments+=(--parallel "$(nproc)")
    if [[ ! -t 2 ]]; then
        say "Building preset $preset, which takes some minutes the first time"
        arguments+=(-- --quiet)
    fi
    (cd "$root" &&
        quietly cmake --preset "$preset" &&
        "${before[@]}" cmake --build --preset "$preset" "${arguments[@]}" >&2) ||
        fail "the build of preset '$preset' failed; what the compiler said stands above"
}

# ThreadSanitizer of GCC 12 and Clang 14 stops with "unexpected memory mapping" where the kernel scatters addresses over
# more than 28 bits (sysctl vm.mmap_rnd_bits). Its programs, which the build runs too to list their tests, therefore
# run without that scattering wherever the system lets them.
without_address_randomisation=()
if setarch --addr-no-randomize true 2>/dev/null; then
    # shellcheck disable=SC2034 # the scripts that source this file read it
    without_address_randomisation=(setarch --addr-no-randomize)
fi
