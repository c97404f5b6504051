//! Step t uses the learning rate and the momentum at t.

use std::sync::{Arc, Mutex};

use super::{CPU, Probe, data, open, options, row, run, shapes};
use crate::parts::Schedules;
use crate::train::{Setup, Unwatched, train_from};

#[test]
fn step_t_has_the_learning_rate_and_the_momentum_of_t() {
    for name in ["sgd", "lookahead-adamw"] {
        let run = run(row(name), |config| config.train.epochs = 2.0);
        let data = data(&run, shapes(32, 8));
        let root = tempfile::tempdir().unwrap();
        let folder = open(root.path(), &run, &data);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut setup = Setup::new(&run, &data, &CPU).unwrap();
        setup.optimizer = Box::new(Probe { inner: setup.optimizer, seen: Arc::clone(&seen), spoil: None });
        train_from(setup, &folder, &options(), &mut Unwatched).unwrap();

        let peak = run.row.inner.learning_rate();
        let schedules = Schedules::new(&run.config.schedule, peak, 8, 4).unwrap();
        let expected: Vec<(f64, Option<f64>)> = (0..8)
            .map(|step| {
                (schedules.learning_rate.at(step), schedules.momentum.as_ref().map(|momentum| momentum.at(step)))
            })
            .collect();
        // No two steps in a row are alike, or a slip by one would not show.
        assert!(expected.windows(2).all(|pair| pair[0].0 != pair[1].0 && pair[0].1 != pair[1].1));
        assert_eq!(*seen.lock().unwrap(), expected, "{name}");

        // The log says what was used.
        let log = lookahead_runs::Log::read(&folder.path().join("metrics.jsonl")).unwrap();
        let logged: Vec<(f64, Option<f64>)> =
            log.steps.iter().map(|step| (step.learning_rate, step.momentum)).collect();
        assert_eq!(logged, expected, "{name}");
    }
}
