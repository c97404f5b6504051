//! What is saved and said where a loss is no number.

use std::sync::{Arc, Mutex};

use super::{CPU, Probe, data, open, options, row, run, shapes};
use crate::error::{Error, LossOf};
use crate::train::{LoopOptions, Setup, Unwatched, train, train_from};

/// Weights spoilt by the third step give the fourth a loss that is no number: its checkpoint must not be taken.
#[test]
fn a_checkpoint_holds_steps_whose_losses_are_finite() {
    let run = run(row("lookahead-sgd"), |_| {});
    let data = data(&run, shapes(64, 8));
    let root = tempfile::tempdir().unwrap();
    let folder = open(root.path(), &run, &data);
    let mut setup = Setup::new(&run, &data, &CPU).unwrap();
    setup.optimizer = Box::new(Probe { inner: setup.optimizer, seen: Arc::new(Mutex::new(vec![])), spoil: Some(2) });
    let options = LoopOptions { checkpoint_every: Some(1), ..options() };
    match train_from(setup, &folder, &options, &mut Unwatched) {
        Err(Error::NotFinite { of: LossOf::Step(3), loss }) => assert!(loss.is_nan()),
        other => panic!("{other:?}"),
    }
    let newest = folder.checkpoints().unwrap().newest().unwrap().unwrap();
    assert_eq!(newest.position.step, 3);
    // Step 3 is the first whose loss is no number, so the weights after three steps are not good.
    assert!(folder.checkpoints().unwrap().describe_before(3).ends_with("(step 2)"));
    let log = lookahead_runs::Log::read(&folder.path().join("metrics.jsonl")).unwrap();
    assert_eq!(log.steps.iter().map(|step| step.step).collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn a_divergence_is_said_in_full_and_written_down() {
    let mut fast = row("sgd");
    fast.inner.set_learning_rate(1e30);
    let run = run(fast, |config| config.schedule = crate::config::ScheduleConfig::Constant);
    let data = data(&run, shapes(32, 8));
    let root = tempfile::tempdir().unwrap();
    let folder = open(root.path(), &run, &data);
    let error = train(&run, &data, &CPU, &folder, &options(), &mut Unwatched).unwrap_err();
    assert_eq!(error.exit_status(), 4);
    let text = error.to_string();
    for part in [
        "sgd-s1 diverged: the loss of step ",
        "there is no good checkpoint",
        "`--optimizers sgd --lr 3.3e29 --fresh`",
        "`just lr-find demo --optimizers sgd`",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert!(folder.path().join("diverged.json").exists() && !folder.path().join("summary.json").exists());
}
