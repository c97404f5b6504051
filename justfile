# The front door. Everything after a recipe's name goes to its program: `just cifar10 --epochs 2`, `just demo --help`.
set positional-arguments

run := "cargo run --release --package lookahead-experiments --bin"

_default:
    @just --list --unsorted

# train every optimizer on the embedded data set, no download: minutes on two cores
demo *args:
    @cargo run --release --package lookahead-experiments --no-default-features --bin demo -- "$@"

# the CIFAR-10 experiment: downloads what is missing, trains, prints the table
cifar10 *args:
    @{{run}} cifar10 -- "$@"

# the CIFAR-100 experiment
cifar100 *args:
    @{{run}} cifar100 -- "$@"

# the Imagenette experiment, or any folder of class folders with --dataset-dir
imagenette *args:
    @{{run}} imagenette -- "$@"

# download, verify and unpack a data set, or say what to put where
data *args:
    @{{run}} data -- "$@"

# why Lookahead/AdamW collapsed in the original project: its suspects, each alone and together
puzzle *args:
    @{{run}} puzzle -- "$@"

# learning-rate range test, with a plot
lr-find *args:
    @{{run}} lr-find -- "$@"

# tables and the interactive page from run folders
report *args:
    @cargo run --release --package lookahead-report --bin report -- "$@"

# a contact sheet (PNG) of augmented samples
preview *args:
    @cargo run --release --package lookahead-data --example preview -- "$@"

# all tests
test *args:
    cargo test --release --workspace "$@"

# the report page in a real browser; needs chromium and chromedriver
test-browser:
    cargo test --release --package lookahead-report --test report_browser --test report_shapes -- --ignored --nocapture

# formatting, clippy and the arrows between the crates
lint: layers
    cargo fmt --all --check
    cargo clippy --release --workspace --all-targets -- -D warnings

# the documentation, warnings denied
docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --release --workspace --no-deps

# type-checks the CUDA side with a stand-in for NVIDIA's compiler; needs no CUDA
check-cuda:
    CARGO_TARGET_DIR=target/cuda-check CUDA_COMPUTE_CAP=80 NVCC="$PWD/.ci/nvcc" PATH="$PWD/.ci:$PATH" \
        cargo clippy --release --workspace --features lookahead-experiments/cuda -- -D warnings

# the kernels' tests under AddressSanitizer, on Linux; a switch lets the stable compiler do it
sanitize *args:
    CARGO_TARGET_DIR=target/sanitize RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address \
        cargo test --release --package lookahead-kernels --lib --tests --target x86_64-unknown-linux-gnu "$@"

# packages a crate, and builds and runs a program outside the workspace with the package, without a lock file
package crate="optim":
    @.ci/package {{crate}}

# what CI runs
ready: lint docs test

# what each kernel of a training step reaches of the machine's peak, per instruction set
roofline:
    cargo test --release --package lookahead-kernels --lib roofline -- --ignored --nocapture

# criterion benches
bench *args:
    cargo bench --workspace --benches "$@"

# training-step throughput, JSON lines
bench-step *args:
    @{{run}} bench-step -- "$@"

# augmentation throughput on one thread, JSON lines
bench-augment *args:
    @cargo run --release --package lookahead-data --example bench_augment -- "$@"

# optimizer-step time over ResNet-18's parameters, JSON lines
bench-optim *args:
    @cargo run --release --package lookahead-optim --example bench-optim -- "$@"

# check which crate depends on which, and which floor of crates/experiments on which
layers:
    @.ci/layers
    @.ci/floors
