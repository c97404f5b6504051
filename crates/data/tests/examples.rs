//! The examples, run.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "examples are programs; a failed unwrap fails the test"
)]

#[path = "../examples/own_augmentation.rs"]
mod own_augmentation;
#[path = "../examples/regression.rs"]
mod regression;
#[path = "../examples/thousand_classes.rs"]
mod thousand_classes;

#[test]
fn an_augmentation_of_ones_own() {
    own_augmentation::main().unwrap();
}

#[test]
fn a_regression_set_with_one_channel() {
    regression::main().unwrap();
}

#[test]
fn a_folder_of_a_thousand_classes() {
    let dir = tempfile::tempdir().unwrap();
    thousand_classes::read(&dir.path().join("set"), 1000, 2, true).unwrap();
}
