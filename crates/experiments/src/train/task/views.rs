//! Test-time augmentation: the mean of a network's logits over views of an image.

use candle_core::{DType, Tensor};
use lookahead_models::Pass;

use crate::config::Views;
use crate::error::Result;
use crate::parts::Network;

/// Mean logits (N, classes), f32, of images (N, 3, H, W) over `views`.
///
/// Six views are airbench94's: with M(x) the mean of image and mirror image,
/// `M(x) / 2 + (M(x moved up left) + M(x moved down right)) / 4`, moved by a pixel, edges reflected.
///
/// # Errors
/// Errors of the forward pass.
pub(in crate::train) fn logits(model: &dyn Network, images: &Tensor, views: Views) -> Result<Tensor> {
    let of = |x: &Tensor| Ok::<_, crate::Error>(model.forward(x, Pass::Eval)?.to_dtype(DType::F32)?);
    let both = |x: &Tensor| Ok::<_, crate::Error>(((of(x)? + of(&mirrored(x)?)?)? / 2.0)?);
    match views {
        Views::One => of(images),
        Views::Two => both(images),
        Views::Six => {
            let moved = (both(&moved(images, Move::UpLeft)?)? + both(&moved(images, Move::DownRight)?)?)?;
            Ok(((both(images)? / 2.0)? + (moved / 4.0)?)?)
        }
    }
}

#[derive(Clone, Copy)]
enum Move {
    UpLeft,
    DownRight,
}

/// The mirror images.
fn mirrored(images: &Tensor) -> Result<Tensor> {
    let width = images.dim(3)?;
    gathered(images, None, (0..width).rev().collect())
}

/// The images seen through a window moved by one pixel, with reflected edges: towards the first pixel for
/// [`Move::UpLeft`].
fn moved(images: &Tensor, to: Move) -> Result<Tensor> {
    let places = |len: usize| -> Vec<usize> {
        let last = len.saturating_sub(1);
        match to {
            // 1 0 1 2 ... len - 2
            Move::UpLeft => (0..len).map(|at| if at == 0 { last.min(1) } else { at - 1 }).collect(),
            // 1 2 ... len - 1, len - 2
            Move::DownRight => (0..len).map(|at| if at == last { last.saturating_sub(1) } else { at + 1 }).collect(),
        }
    };
    gathered(images, Some(places(images.dim(2)?)), places(images.dim(3)?))
}

/// The pixels of these rows and columns.
fn gathered(images: &Tensor, rows: Option<Vec<usize>>, columns: Vec<usize>) -> Result<Tensor> {
    // Channels-last, a gather copies whole pixels.
    let mut pixels = images.permute((0, 2, 3, 1))?.contiguous()?;
    for (dim, places) in [(1, rows), (2, Some(columns))] {
        let Some(places) = places else { continue };
        let places: Vec<u32> = places.into_iter().map(|at| at as u32).collect();
        let places = Tensor::from_vec(places.clone(), places.len(), images.device())?;
        pixels = pixels.index_select(&places, dim)?;
    }
    Ok(pixels.permute((0, 3, 1, 2))?)
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    /// A network whose two logits are the pixel at the top left and that at the bottom right.
    #[derive(Debug)]
    struct Corners;

    impl Network for Corners {
        fn forward(&self, images: &Tensor, _pass: Pass) -> lookahead_models::Result<Tensor> {
            let (n, _, height, width) = images.dims4()?;
            let corner = |y, x| images.narrow(1, 0, 1)?.narrow(2, y, 1)?.narrow(3, x, 1)?.reshape((n, 1));
            Ok(Tensor::cat(&[corner(0, 0)?, corner(height - 1, width - 1)?], 1)?)
        }
        fn parameters(&self) -> Vec<(String, Var)> {
            Vec::new()
        }
        fn buffers(&self) -> Vec<(String, Var)> {
            Vec::new()
        }
        fn state(&self) -> Vec<(String, Tensor)> {
            Vec::new()
        }
        fn dtype(&self) -> DType {
            DType::F32
        }
    }

    /// Pixels 0 to 11 in 3 rows of 4: the corners are 0 and 11, mirrored 3 and 8; moved up left, 5 and 6, mirrored 6
    /// and 5; moved down right, 5 and 6 too, since the window starts at the pixel (1, 1) and ends at its reflection (1,
    /// 2), mirrored 6 and 5.
    #[test]
    fn views_worked_by_hand() {
        let plane = Tensor::arange(0f32, 12.0, &Device::Cpu).unwrap().reshape((1, 1, 3, 4)).unwrap();
        let images = plane.broadcast_as((1, 3, 3, 4)).unwrap();
        let logits = |views| logits(&Corners, &images, views).unwrap().to_vec2::<f32>().unwrap().remove(0);
        assert_eq!(logits(Views::One), [0.0, 11.0]);
        assert_eq!(logits(Views::Two), [1.5, 9.5]);
        // 1.5 / 2 + (5.5 + 5.5) / 4 and 9.5 / 2 + (5.5 + 5.5) / 4.
        assert_eq!(logits(Views::Six), [3.5, 7.5]);
    }

    /// As `F.pad(x, (1,) * 4, mode="reflect")` and its two windows.
    #[test]
    fn moves_reflect_the_edges() {
        let plane = Tensor::arange(0f32, 9.0, &Device::Cpu).unwrap().reshape((1, 1, 3, 3)).unwrap();
        let images = plane.broadcast_as((1, 3, 3, 3)).unwrap();
        let first = |to| moved(&images, to).unwrap().to_device(&Device::Cpu).unwrap().flatten_all().unwrap();
        let first = |to| first(to).to_vec1::<f32>().unwrap()[..9].to_vec();
        assert_eq!(first(Move::UpLeft), [4.0, 3.0, 4.0, 1.0, 0.0, 1.0, 4.0, 3.0, 4.0]);
        assert_eq!(first(Move::DownRight), [4.0, 5.0, 4.0, 7.0, 8.0, 7.0, 4.0, 5.0, 4.0]);
    }
}
