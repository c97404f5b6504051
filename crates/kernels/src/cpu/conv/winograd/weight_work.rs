//! The work of the weight gradient's kernel, for the balance test.

use super::PRIVATE_CHANNELS;
use super::tile::Grid;
use super::weight::{PHASED_GROUPS, PHASED_TILES, PIECE_TILES, PRIVATE_TILES};
use super::weight::{group_rows, part_tiles, parts, points_at_once};
use crate::cpu::conv::balance::Chain;
use crate::plan::ConvShape;

/// The steps of the parts or chunks, and the last step.
pub(in crate::cpu::conv) fn work(shape: &ConvShape, side: usize) -> Vec<Vec<Chain>> {
    let (inputs, outputs) = (shape.channels_in, shape.channels_out);
    let grid =
        Grid { batch: shape.batch, input: shape.input, output: shape.output, padding: shape.window.padding, side };
    let (tiles, points, matrix) = (grid.tiles(), grid.points(), inputs * outputs);
    // Measured with AVX-512: transforming takes as long as multiplying at about sixteen channels.
    let transform = |tiles: usize| (12 * tiles * points * (inputs + outputs)) as u64;
    let multiply = |tiles: usize, rows: usize, points: usize| (tiles * rows * outputs * points) as u64;
    let finish = |parts: usize| vec![vec![vec![(parts * points * outputs) as u64; inputs]]];
    if matrix <= PRIVATE_CHANNELS {
        let parts = parts(tiles, points, matrix);
        let at_once = points_at_once(parts, points, matrix);
        let chains = (0..parts).map(|part| {
            let range = part_tiles(tiles, parts, part);
            let mut chain = Chain::new();
            for first in range.clone().step_by(PRIVATE_TILES) {
                let block = range.end.min(first + PRIVATE_TILES) - first;
                let whole = if at_once < points { PIECE_TILES } else { block };
                chain.push((0..block).step_by(whole).map(|tile| transform((block - tile).min(whole))).collect());
                let pieces = (0..points).step_by(at_once).map(|point| (points - point).min(at_once));
                chain.push(pieces.map(|points| multiply(block, inputs, points)).collect());
            }
            chain
        });
        vec![chains.collect(), finish(parts)]
    } else {
        let chunk = tiles.min(PHASED_TILES);
        let mut chain = Chain::new();
        for first in (0..tiles).step_by(chunk) {
            let count = tiles.min(first + chunk) - first;
            chain.push((0..count).step_by(4).map(|tile| transform((count - tile).min(4))).collect());
            let tasks = (0..points * PHASED_GROUPS).map(|task| group_rows(inputs, task % PHASED_GROUPS).len());
            chain.push(tasks.map(|rows| multiply(count, rows, 1)).collect());
        }
        vec![vec![chain], finish(1)]
    }
}
