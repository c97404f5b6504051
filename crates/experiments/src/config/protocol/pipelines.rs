//! Pipelines for photographs, by the size of their results.

use lookahead_data::{Pipeline, Transform};

/// A pipeline of steps that are known to be valid.
pub(super) fn of(steps: Vec<Transform>) -> Pipeline {
    Pipeline::new(steps).unwrap_or_default()
}

/// Training and validation: fastai v1's `get_transforms()`.
pub(super) fn fastai(side: usize) -> (Pipeline, Pipeline) {
    pair(Pipeline::fastai_train(side), Pipeline::fastai_eval(side))
}

/// Training and validation: random resized crops, and the usual margin around the centre: 256 for 224.
pub(super) fn resized_crops(side: usize, min_scale: f64) -> (Pipeline, Pipeline) {
    pair(Pipeline::imagenet_train(side, min_scale), Pipeline::imagenet_eval(side * 8 / 7, side))
}

/// The protocols' sizes are constants within their range; a test checks this.
fn pair(train: lookahead_data::Result<Pipeline>, valid: lookahead_data::Result<Pipeline>) -> (Pipeline, Pipeline) {
    (train.unwrap_or_default(), valid.unwrap_or_default())
}
