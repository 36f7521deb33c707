# Sourced by make, .ci/run and by whoever runs cargo by hand: one target directory for all,
# and RocksDB's C++ through the compiler cache, so that it is compiled once for every profile.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$HOME/.cache/mainstay-target}"
if command -v ccache >/dev/null 2>&1; then
    export CC="ccache cc" CXX="ccache c++"
fi
