//! The ten outlines as distances: negative inside, positive outside, about 1 from the middle to the rim.
//!
//! Only sums, products, square roots and comparisons are used. They give the same bits on every platform; sine and cosine would not.

/// One of the ten classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outline {
    Disc,
    Ring,
    HalfDisc,
    Crescent,
    Triangle,
    Square,
    Pentagon,
    Hexagon,
    Star,
    Cross,
}

/// Unit normals of a pentagon's sides: (sin, cos) of 0, 72, 144, 216 and 288 degrees.
const FIFTHS: [(f32, f32); 5] = [
    (0.0, 1.0),
    (0.951_056_5, 0.309_017),
    (0.587_785_24, -0.809_017),
    (-0.587_785_24, -0.809_017),
    (-0.951_056_5, 0.309_017),
];

/// sqrt(3) / 2.
const SIN_60: f32 = 0.866_025_4;

impl Outline {
    pub(super) const ALL: [Self; 10] = [
        Self::Disc,
        Self::Ring,
        Self::HalfDisc,
        Self::Crescent,
        Self::Triangle,
        Self::Square,
        Self::Pentagon,
        Self::Hexagon,
        Self::Star,
        Self::Cross,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Disc => "disc",
            Self::Ring => "ring",
            Self::HalfDisc => "half-disc",
            Self::Crescent => "crescent",
            Self::Triangle => "triangle",
            Self::Square => "square",
            Self::Pentagon => "pentagon",
            Self::Hexagon => "hexagon",
            Self::Star => "star",
            Self::Cross => "cross",
        }
    }

    /// Distance of (x, y) from the rim: exact beside straight sides and arcs, a little short at corners.
    pub(super) fn distance(self, x: f32, y: f32) -> f32 {
        let radius = (x * x + y * y).sqrt();
        match self {
            Self::Disc => radius - 0.95,
            Self::Ring => (radius - 0.75).abs() - 0.22,
            Self::HalfDisc => (radius - 1.1).max(0.35 - y).max(y - 1.2),
            Self::Crescent => {
                let bite = ((x - 0.45) * (x - 0.45) + y * y).sqrt();
                (radius - 1.0).max(0.75 - bite)
            }
            Self::Triangle => (-y).max(SIN_60 * x + 0.5 * y).max(0.5 * y - SIN_60 * x) - 0.6,
            Self::Square => x.abs().max(y.abs()) - 0.82,
            Self::Pentagon => FIFTHS.iter().fold(f32::MIN, |d, (sin, cos)| d.max(sin * x + cos * y)) - 0.84,
            Self::Hexagon => x.abs().max(0.5 * x.abs() + SIN_60 * y.abs()) - 0.88,
            Self::Star => {
                // Inside if at most one of the five long lines is crossed: the second largest distance.
                let mut far = [f32::MIN; 2];
                for (sin, cos) in FIFTHS {
                    let d = sin * x + cos * y;
                    if d > far[0] {
                        far = [d, far[0]];
                    } else if d > far[1] {
                        far[1] = d;
                    }
                }
                far[1] - 0.38
            }
            Self::Cross => {
                let (long, short) = (x.abs().max(y.abs()), x.abs().min(y.abs()));
                (long - 1.0).max(short - 0.33)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn middles_and_far_points() {
        for outline in Outline::ALL {
            assert!(outline.distance(1.6, 1.6) > 0.0, "{outline:?}");
            let inside = (-20..=20).flat_map(|x| (-20..=20).map(move |y| (x, y)));
            let inside = inside.filter(|&(x, y)| outline.distance(x as f32 / 10.0, y as f32 / 10.0) < 0.0).count();
            // Between 0.9 and 3.2 of area: none so small that it cannot be seen, none so large that it fills the image.
            assert!((90..320).contains(&inside), "{outline:?} {inside}");
        }
        assert!(Outline::Ring.distance(0.0, 0.0) > 0.0);
        assert!(Outline::Crescent.distance(0.3, 0.0) > 0.0 && Outline::Crescent.distance(-0.8, 0.0) < 0.0);
        assert!(Outline::Star.distance(0.0, 0.9) < 0.0 && Outline::Star.distance(0.0, -0.9) > 0.0);
        assert!(Outline::Cross.distance(0.0, 0.9) < 0.0 && Outline::Cross.distance(0.6, 0.6) > 0.0);
    }
}
