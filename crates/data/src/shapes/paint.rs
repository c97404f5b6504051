//! Paints an outline: everything in an image that does not depend on its class.

use super::SIZE;
use super::outline::Outline;
use crate::CHANNELS;
use crate::rng::SampleRng;

type Colour = [f32; CHANNELS];

/// Draws `outline` into `out`, (32, 32, 3) u8.
pub(super) fn paint(outline: Outline, rng: &mut SampleRng, out: &mut [u8]) {
    let scene = Scene::draw(outline, rng);
    // Sums of four uniform bytes: a bell of deviation 148 around 510.
    let mut noise = [0; 4 * SIZE.bytes()];
    rng.fill(&mut noise);
    let mut noise = noise.as_chunks::<4>().0.iter().map(|n| n.iter().map(|&b| f32::from(b)).sum::<f32>() - 510.0);
    for (i, pixel) in out.as_chunks_mut::<CHANNELS>().0.iter_mut().enumerate() {
        let (x, y) = ((i % SIZE.width) as f32 + 0.5, (i / SIZE.width) as f32 + 0.5);
        let colour = scene.colour(x, y);
        for (value, colour) in pixel.iter_mut().zip(colour) {
            let noise = noise.next().unwrap_or(0.0) * scene.noise / 148.0;
            // As casts from float saturate, no clamp is needed.
            *value = (colour * 255.0 + noise + 0.5) as u8;
        }
    }
}

/// Two colours and the pattern they make.
struct Texture {
    colours: [Colour; 2],
    kind: u32,
    along: Frame,
}

/// A rotated, stretched and moved frame: maps image coordinates to those of the outline drawn in it.
#[derive(Clone, Copy)]
struct Frame {
    centre: (f32, f32),
    rows: [(f32, f32); 2],
}

struct Scene {
    outline: Outline,
    frame: Frame,
    /// Pixels per unit of the outline's distance, for edges one pixel soft.
    scale: f32,
    ground: Texture,
    fill: Texture,
    blobs: [(Frame, Outline, Colour); BLOBS],
    bar: Option<(Frame, Colour, f32)>,
    light: (f32, f32),
    noise: f32,
}

/// Small distracting outlines in every image.
const BLOBS: usize = 2;

impl Scene {
    fn draw(outline: Outline, rng: &mut SampleRng) -> Self {
        let radius = real(rng, 5.5, 11.0);
        let centre = (real(rng, 12.0, 20.0), real(rng, 12.0, 20.0));
        let stretch = real(rng, 0.87, 1.15);
        let frame = Frame::turned(leaning(rng), centre, radius * stretch, radius / stretch);
        // Light on dark in each channel: with either polarity, a small network takes several times as long to learn.
        let base = colour(rng, 0.05, 0.45);
        let body = colour(rng, 0.5, 0.95);
        let blobs = std::array::from_fn(|_| {
            let centre = (real(rng, 0.0, 32.0), real(rng, 0.0, 32.0));
            let radius = real(rng, 1.2, 3.2);
            let kind = Outline::ALL[rng.below(Outline::ALL.len() as u32) as usize];
            (Frame::draw(rng, centre, radius, radius), kind, colour(rng, 0.1, 0.9))
        });
        let bar = rng.coin(0.6).then(|| {
            let centre = (centre.0 + real(rng, -8.0, 8.0), centre.1 + real(rng, -8.0, 8.0));
            (Frame::draw(rng, centre, 1.0, 1.0), colour(rng, 0.1, 0.9), real(rng, 0.8, 2.4))
        });
        Self {
            outline,
            frame,
            scale: radius * stretch.min(1.0 / stretch),
            ground: Texture::draw(rng, base),
            fill: Texture::draw(rng, body),
            blobs,
            bar,
            light: (real(rng, -0.2, 0.2), real(rng, -0.2, 0.2)),
            noise: real(rng, 4.0, 26.0),
        }
    }

    fn colour(&self, x: f32, y: f32) -> Colour {
        let mut colour = self.ground.at(x, y);
        for (frame, outline, blob) in &self.blobs {
            let (u, v) = frame.to_local(x, y);
            // Blobs are small: a soft edge of a third of their radius is about one pixel.
            colour = blend(colour, *blob, 0.5 - 2.0 * outline.distance(u, v));
        }
        let (u, v) = self.frame.to_local(x, y);
        colour = blend(colour, self.fill.at(x, y), 0.5 - self.scale * self.outline.distance(u, v));
        if let Some((frame, bar, half_width)) = &self.bar {
            let (u, _) = frame.to_local(x, y);
            colour = blend(colour, *bar, 0.5 + half_width - u.abs());
        }
        let light = 1.0 + self.light.0 * (x / 16.0 - 1.0) + self.light.1 * (y / 16.0 - 1.0);
        colour.map(|v| v * light)
    }
}

impl Frame {
    /// A frame around `centre`, turned by any angle, whose unit is `a` pixels along one axis and `b` along the other.
    fn draw(rng: &mut SampleRng, centre: (f32, f32), a: f32, b: f32) -> Self {
        Self::turned(direction(rng), centre, a, b)
    }

    fn turned((cos, sin): (f32, f32), centre: (f32, f32), a: f32, b: f32) -> Self {
        Self { centre, rows: [(cos / a, sin / a), (-sin / b, cos / b)] }
    }

    fn to_local(self, x: f32, y: f32) -> (f32, f32) {
        let (x, y) = (x - self.centre.0, y - self.centre.1);
        let [u, v] = self.rows.map(|(a, b)| a * x + b * y);
        (u, v)
    }
}

impl Texture {
    fn draw(rng: &mut SampleRng, base: Colour) -> Self {
        let other = base.map(|v| v + real(rng, -0.1, 0.1));
        let period = real(rng, 2.5, 7.0);
        let centre = (real(rng, 0.0, 32.0), real(rng, 0.0, 32.0));
        Self { colours: [base, other], kind: rng.below(4), along: Frame::draw(rng, centre, period, period) }
    }

    fn at(&self, x: f32, y: f32) -> Colour {
        let (u, v) = self.along.to_local(x, y);
        let part = match self.kind {
            0 => 0.0,
            1 => wave(u),
            2 => {
                if (wave(u) > 0.5) == (wave(v) > 0.5) {
                    1.0
                } else {
                    0.0
                }
            }
            _ => (0.5 + 0.15 * u).clamp(0.0, 1.0),
        };
        blend(self.colours[0], self.colours[1], part)
    }
}

/// 0 at whole numbers, 1 half-way between.
fn wave(t: f32) -> f32 {
    let part = t - t.floor();
    1.0 - (2.0 * part - 1.0).abs()
}

fn blend(below: Colour, above: Colour, part: f32) -> Colour {
    let part = part.clamp(0.0, 1.0);
    std::array::from_fn(|c| below[c] + (above[c] - below[c]) * part)
}

fn colour(rng: &mut SampleRng, low: f32, high: f32) -> Colour {
    std::array::from_fn(|_| real(rng, low, high))
}

fn real(rng: &mut SampleRng, low: f32, high: f32) -> f32 {
    rng.range(f64::from(low), f64::from(high)) as f32
}

/// A direction up to 17 degrees from upright: with any angle, a small network learned almost nothing in eight epochs.
fn leaning(rng: &mut SampleRng) -> (f32, f32) {
    let lean = real(rng, -0.3, 0.3);
    let length = (1.0 + lean * lean).sqrt();
    (1.0 / length, lean / length)
}

/// A uniform direction, without sine and cosine: a point of the unit disc, projected to its rim.
fn direction(rng: &mut SampleRng) -> (f32, f32) {
    loop {
        let (x, y) = (real(rng, -1.0, 1.0), real(rng, -1.0, 1.0));
        let square = x * x + y * y;
        if square > 0.01 && square <= 1.0 {
            let length = square.sqrt();
            return (x / length, y / length);
        }
    }
}
