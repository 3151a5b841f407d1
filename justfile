# Commands of the project: `just` lists them.

export CARGO_TERM_COLOR := "always"

_list:
    @just --list

# Formatting, lints and documentation, as CI asks them.
check:
    cargo fmt --check
    cargo clippy --release --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --release --no-deps

# All tests.
test:
    cargo test --release

# A benchmark, with its table: forward, frame, gradient, neighbour, survey, trajectory.
bench NAME *ARGS:
    cargo bench --bench {{NAME}} -- {{ARGS}}

# All that documents have from the program: the reference and the pictures of the gallery.
docs:
    ISOLOSS_WRITE_DOCS=true cargo test --release --test documents reference
    cargo build --release
    PATH="$PWD/target/release:$PATH" sh docs/draw.sh

# A small real training, and a watch on it.
demo:
    cargo run --release -- demo

# Licences and known weaknesses of all dependencies.
deny:
    cargo deny check
