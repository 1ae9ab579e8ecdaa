# Shortcuts for everyday commands. `just` (`cargo install just`) is optional: every recipe is short
# enough to type.

# List the recipes
default:
    @just --list

# Check formatting, lints and documentation
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# Run the tests: all of them, or e.g. `just test -p simcse-tensor attention`
test *args="--workspace":
    cargo test {{ args }}

# Measure, e.g. `just bench --bench kernels`
bench *args:
    cargo bench -p simcse-benches {{ args }}

# Run the program, e.g. `just run train --help`
run *args:
    cargo run -p simcse-cli -- {{ args }}

# Run everything that must hold before a change lands
ci:
    .ci/run

# Recompute with PyTorch what the tests compare with; `python` must have sentence-transformers
goldens python="python3":
    {{ python }} tools/generate/goldens.py
