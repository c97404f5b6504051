# The front door. Everything after a recipe's name goes to its program: `just cifar10 --epochs 2`, `just demo --help`.
set positional-arguments

# Features to build the experiments with, such as those for GPUs: `just features=cuda cifar10 --device cuda:0`.
features := ""
with := if features == "" { "" } else { "--features " + features + " " }
run := "cargo run --release --package lookahead-experiments " + with + "--bin"

_default:
    @just --list --unsorted

# compare five optimizers on the embedded data set, no download: a minute or two on two cores
demo *args:
    @{{run}} demo -- "$@"

# the CIFAR-10 experiment: downloads what is missing, trains, prints the table
cifar10 *args:
    @{{run}} cifar10 -- "$@"

# the CIFAR-100 experiment
cifar100 *args:
    @{{run}} cifar100 -- "$@"

# the Imagenette experiment, or any folder of class folders with --dataset-dir
imagenette *args:
    @{{run}} imagenette -- "$@"

# the paper's experiment on ImageNet, whose files you have to bring: docs/IMAGENET.md
imagenet *args:
    @{{run}} imagenet -- "$@"

# the 94 % recipe for CIFAR-10, with its Lookahead and without: some twenty minutes a run on two cores
speedrun *args:
    @{{run}} cifar10 -- --protocol speedrun --out runs/speedrun "$@"

# half as wide and seven epochs, for many seeds
sprint *args:
    @{{run}} cifar10 -- --protocol sprint --out runs/sprint "$@"

# LSTM language models, scored by perplexity: Shakespeare without a download, Penn Treebank, any text (--dataset-dir)
language *args:
    @{{run}} language -- "$@"

# download, verify and unpack a data set, say what to put where, or check the images of a folder (--check DIR)
data *args:
    @{{run}} data -- "$@"

# every setting of a study, ranked by held-out images: here, as a share (--shard), or as a SLURM array (--submit)
sweep *args:
    @{{run}} sweep -- "$@"

# the second step of a sweep: the best setting of each row with fresh seeds, tested once, as a page
study *args:
    @{{run}} sweep -- --final "$@"

# why Lookahead/AdamW collapsed in the original project: its suspects, each alone and together
puzzle *args:
    @{{run}} puzzle -- "$@"

# learning-rate range test, with a plot
lr-find *args:
    @{{run}} lr-find -- "$@"

# tables and the interactive page from run folders
report *args:
    @cargo run --release --package lookahead-report --bin report -- "$@"

# the tables of the documents, from the run folders in results/; --check compares only
results *args:
    @tools/results "$@"

# a contact sheet (PNG) of augmented samples
preview *args:
    @cargo run --release --package lookahead-data --example preview -- "$@"

# all tests
test *args:
    cargo test --release --workspace "$@"

# the data crate's tests with downloads from the hub; builds some 180 crates more
test-hub *args:
    cargo test --release --package lookahead-data --features hub "$@"

# a sweep through a SLURM cluster of one node, out of Debian's packages; as root
test-slurm:
    tools/slurm/test

# the tests that take minutes: the demo's rows at full length, fifty kills
test-long *args:
    cargo test --release --workspace --test training --test resume -- --ignored --nocapture "$@"

# the report page in a real browser, and what axe-core has against it; needs chromium and chromedriver
test-browser: axe
    cargo test --release --package lookahead-report --test report_access --test report_browser --test report_shapes -- --ignored --nocapture

# fetches axe-core, which checks pages for accessibility, into target/tools; its licence is the MPL, so it is no part of this repository
axe:
    @test -e target/tools/node_modules/axe-core/axe.min.js \
        || npm install --no-save --no-audit --no-fund --prefix target/tools axe-core@4.14.1 \
        || echo "axe-core was not fetched: its test will be skipped"

# the guides and documents as a book, in target/book; needs mdbook (`cargo install --locked mdbook`)
book:
    mdbook build docs

# formatting, clippy, the arrows between the crates, links of the documents
lint: layers
    @.ci/links
    cargo fmt --all --check
    cargo clippy --release --workspace --all-targets -- -D warnings

# the documentation, warnings denied
docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --release --workspace --no-deps

# type-checks the CUDA side with a stand-in for NVIDIA's compiler; needs no CUDA
check-cuda:
    CARGO_TARGET_DIR=target/cuda-check CUDA_COMPUTE_CAP=80 NVCC="$PWD/.ci/nvcc" PATH="$PWD/.ci:$PATH" \
        cargo clippy --release --workspace --tests --features lookahead-experiments/cuda -- -D warnings

# each crate with the features that nothing else in the workspace tries: none at all, and each alone
features:
    cargo clippy --release --package lookahead-optim --package lookahead-models --package lookahead-runs -- -D warnings
    cargo clippy --release --package lookahead-optim --features serde -- -D warnings
    cargo clippy --release --package lookahead-models --features serde -- -D warnings
    cargo clippy --release --package lookahead-data --no-default-features -- -D warnings
    cargo clippy --release --package lookahead-data --no-default-features --features parquet -- -D warnings
    cargo clippy --release --package lookahead-report --no-default-features -- -D warnings
    cargo clippy --release --package lookahead-experiments --no-default-features -- -D warnings

# on a Mac: builds the programs for Metal, and compares every operation and optimizer on its GPU, where it has one, with the CPU
test-metal:
    cargo build --release --package lookahead-experiments --no-default-features --features metal
    cargo test --release --package lookahead-kernels --package lookahead-optim \
        --features lookahead-kernels/metal,lookahead-optim/metal --test devices -- --nocapture

# packs everything that a machine with a GPU, but without Rust, needs to check and time this project: docs/GPU.md
gpu-kit *args:
    tools/gpu/build "$@"

# the same kit without CUDA, and its dry run
test-gpu-kit:
    tools/gpu/test

# the kernels' tests under AddressSanitizer, on Linux; a switch lets the stable compiler do it
sanitize *args:
    CARGO_TARGET_DIR=target/sanitize RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address \
        cargo test --release --package lookahead-kernels --lib --tests --target x86_64-unknown-linux-gnu "$@"

# packages a crate, and builds and runs a program outside the workspace with the package, without a lock file
package crate="optim":
    @.ci/package {{crate}}

# what `cargo publish` would say of every crate that is published; uploads nothing
publish-check:
    cargo publish --workspace --exclude lookahead-experiments --dry-run --no-verify --allow-dirty

# the public surface of each crate against docs/public-api; `just public-api --write` takes a change over
public-api *args:
    @.ci/public-api {{args}}

# what must pass before a change: lint, docs and test; CI runs more
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
