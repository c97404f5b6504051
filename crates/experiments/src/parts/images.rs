//! Image data sets and their loaders.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use lookahead_data::{Dataset, Loader, LoaderConfig, Normalize, Splits};
use lookahead_runs::{DataPart, DataSet, TaskKind, digest};

use super::sealed::Sealed;
use crate::config::{Config, ImagesConfig, Normalization};
use crate::error::Result;

/// Training, validation and test images, split according to a configuration.
#[derive(Debug, Clone)]
pub struct ImageData {
    /// Training images.
    pub train: Arc<dyn Dataset>,
    /// The images that each epoch is validated on: held out of training or, if the configuration holds none out, the
    /// test images.
    pub valid: Arc<dyn Dataset>,
    /// The test images, sealed; `None` if the configuration does not test, or if they are [`valid`](Self::valid).
    pub test: Option<Sealed<Arc<dyn Dataset>>>,
    /// How pixels are normalised.
    pub normalize: Normalize,
    /// Name, digest, classes and counts.
    pub about: DataSet,
}

impl ImageData {
    /// Cuts `splits` to the limits of `config`, holds out its share, and takes the digest.
    ///
    /// If images are held out and `data.test` is false, the test images are dropped at once, so nothing built from this
    /// value can read them.
    ///
    /// # Errors
    /// Errors of reading the data; a held-out share that leaves a part empty.
    pub fn new(splits: Splits, config: &ImagesConfig) -> Result<Self> {
        let limited = |dataset: Arc<dyn Dataset>, count| match count {
            0 => dataset,
            count => lookahead_data::limit(dataset, count),
        };
        let whole = limited(splits.train, config.limit_train);
        let held_out = config.held_out > 0.0;
        let (train, valid, test) = if held_out {
            let (train, valid) = lookahead_data::hold_out(whole, config.held_out)?;
            let test = config.test.then(|| limited(splits.valid, config.limit_valid));
            (train, limited(valid, config.limit_valid), test)
        } else {
            (whole, limited(splits.valid, config.limit_valid), None)
        };
        let normalize = match config.normalize {
            Normalization::Dataset => splits.normalize,
            Normalization::UnitRange => Normalize::UNIT,
        };
        let part = |part: &dyn Dataset| DataPart { name: part.name().to_owned(), count: part.len() as u64 };
        let mut digests = vec![train.digest()?, valid.digest()?];
        if let Some(test) = &test {
            digests.push(test.digest()?);
        }
        let about_valid = part(&*valid);
        let about = DataSet {
            task: TaskKind::Images,
            name: splits.name,
            sha256: digest::of_pieces(digests.iter().map(String::as_bytes)),
            train: part(&*train),
            valid: if held_out {
                DataPart { name: format!("{}, held out", about_valid.name), ..about_valid }
            } else {
                about_valid
            },
            test: test.as_deref().map(part).unwrap_or_default(),
            held_out,
            classes: train.classes().to_vec(),
        };
        Ok(Self { train, valid, test: test.map(Sealed::new), normalize, about })
    }

    /// The loader of training images for `seed`. A batch is one of the `train.accumulate` parts of a step.
    ///
    /// # Errors
    /// Errors of the pipeline and the loader, such as an impossible image size.
    pub fn train_loader(&self, config: &Config, seed: u64) -> Result<Loader> {
        let images = config.images()?;
        let loader = LoaderConfig {
            batch_size: config.train.batch_size / config.train.accumulate,
            seed,
            mixing: images.mixing,
            ..LoaderConfig::default()
        };
        Ok(Loader::new(Arc::clone(&self.train), images.train.clone(), loader)?)
    }

    /// The loader of a part for evaluation: in order, through the configuration's validation pipeline.
    ///
    /// # Errors
    /// As [`ImageData::train_loader`].
    pub fn judged(part: &Arc<dyn Dataset>, config: &Config) -> Result<Loader> {
        in_order(part, config, config.train.batch_size / config.train.accumulate)
    }

    /// The first `count` training images, or all if there are fewer, through the validation pipeline: (N, 3, H, W),
    /// normalised.
    ///
    /// # Errors
    /// As [`ImageData::train_loader`].
    pub fn first_images(&self, config: &Config, count: usize, device: &Device) -> Result<Tensor> {
        let loader = in_order(&self.train, config, count.min(self.train.len()).max(1))?;
        match loader.epoch(0, 0).next() {
            Some(batch) => Ok(batch?.to_device(device, &self.normalize)?.images),
            None => Ok(Tensor::zeros((0, 3, 0, 0), DType::F32, device)?),
        }
    }
}

fn in_order(part: &Arc<dyn Dataset>, config: &Config, batch_size: usize) -> Result<Loader> {
    Ok(Loader::new(Arc::clone(part), config.images()?.valid.clone(), LoaderConfig::evaluation(batch_size))?)
}
