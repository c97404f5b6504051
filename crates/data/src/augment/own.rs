//! Your own augmentations.

use std::fmt::Debug;
use std::sync::Arc;

use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Error, Image, ImageSize, Result, SampleRng};

/// Your own augmentation: a step of a [`Pipeline`](crate::Pipeline) like any other.
///
/// It runs on the loader's threads with the random stream of its sample. If it draws from nothing else, its result depends only on (seed,
/// epoch, index).
///
/// ```
/// use lookahead_data::{Augment, Image, ImageSize, Pipeline, SampleRng, Transform};
///
/// /// Inverts the colours with probability `p`.
/// #[derive(Debug)]
/// struct Invert {
///     p: f64,
/// }
///
/// impl Augment for Invert {
///     fn name(&self) -> String {
///         format!("invert(p {})", self.p)
///     }
///
///     fn apply(&self, image: Image, rng: &mut SampleRng) -> Result<Image, lookahead_data::OwnError> {
///         if !rng.coin(self.p) {
///             return Ok(image);
///         }
///         let pixels = image.pixels().iter().map(|v| 255 - v).collect();
///         Ok(Image::new(image.size(), pixels)?)
///     }
/// }
///
/// let pipeline = Pipeline::new(vec![Transform::own(Invert { p: 1.0 })])?;
/// assert_eq!(pipeline.to_string(), "invert(p 1)");
/// let white = Image::new(ImageSize::square(1), vec![255; 3])?;
/// assert_eq!(pipeline.apply(white.view(), &mut SampleRng::new(0, 0, 0))?.pixels(), [0; 3]);
/// # Ok::<(), lookahead_data::Error>(())
/// ```
#[doc(alias = "transform")]
pub trait Augment: Send + Sync + Debug {
    /// Its name with all settings. Pipelines are printed, written to files and compared by it, and digests of a run include it.
    fn name(&self) -> String;

    /// The size of the result for an image of size `input`, at least 1x1; unchanged by default.
    fn output_size(&self, input: ImageSize) -> ImageSize {
        input
    }

    /// Augments one image, (H, W, 3) u8. The result must have the size that [`output_size`](Self::output_size) returns.
    ///
    /// # Errors
    /// Any error of your code. The loader returns [`Error::Sample`], which names the sample; its source is [`Error::Own`] with your error.
    fn apply(&self, image: Image, rng: &mut SampleRng) -> std::result::Result<Image, OwnError>;
}

/// An error of your own code. Any error converts into it with `?`.
pub type OwnError = Box<dyn std::error::Error + Send + Sync>;

/// An [`Augment`] as a [`Transform`](crate::Transform). Two are equal if their names are.
#[derive(Debug, Clone)]
pub struct Own(Arc<dyn Augment>);

impl Own {
    pub(super) fn new(augment: impl Augment + 'static) -> Self {
        Self(Arc::new(augment))
    }

    pub(super) fn name(&self) -> String {
        self.0.name()
    }

    pub(super) fn output_size(&self, input: ImageSize) -> ImageSize {
        self.0.output_size(input)
    }

    pub(super) fn apply(&self, image: Image, rng: &mut SampleRng) -> Result<Image> {
        let expected = self.output_size(image.size());
        let own = |source| Error::Own { name: self.name(), source };
        let image = self.0.apply(image, rng).map_err(own)?;
        if image.size() != expected {
            return Err(own(format!("the result is {}, but `output_size` returns {expected}", image.size()).into()));
        }
        Ok(image)
    }
}

impl PartialEq for Own {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Serialize for Own {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Own", 1)?;
        fields.serialize_field("name", &self.name())?;
        fields.end()
    }
}

impl<'de> Deserialize<'de> for Own {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Named {
            name: String,
        }
        let Named { name } = Named::deserialize(deserializer)?;
        let problem = format!("`{name}` is a custom augmentation: add it in the program, not in a file");
        Err(serde::de::Error::custom(problem))
    }
}
