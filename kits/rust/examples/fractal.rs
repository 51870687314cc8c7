//! One tile of the Mandelbrot set, a row a step.
//!
//! Input: `x`, `y` (its lower left corner) and `size` as little-endian `f64`; `pixels` along an edge and `passes` as little-endian `u32`.
//! Output: a byte for each pixel, row by row: how soon it escapes.
use peeredge_task::{Step, Task};

struct Tile {
    x: f64,
    y: f64,
    size: f64,
    pixels: u32,
    passes: u32,
    shades: Vec<u8>,
}

impl Task for Tile {
    fn new(input: Vec<u8>) -> Self {
        let double = |at: usize| f64::from_le_bytes(input[at..at + 8].try_into().expect("eight bytes"));
        let word = |at: usize| u32::from_le_bytes(input[at..at + 4].try_into().expect("four bytes"));
        let (pixels, passes) = (word(24), word(28));
        Tile { x: double(0), y: double(8), size: double(16), pixels, passes, shades: Vec::new() }
    }

    fn step(&mut self) -> Step {
        let row = self.shades.len() as u32 / self.pixels.max(1);
        let at = |number: u32| self.size * f64::from(number) / f64::from(self.pixels);
        for column in 0..self.pixels {
            let passes = escape(self.x + at(column), self.y + at(row), self.passes);
            self.shades.push((passes * 255 / self.passes.max(1)) as u8);
        }
        Step::of(row as usize + 1, self.pixels as usize)
    }

    fn output(self) -> Vec<u8> {
        self.shades
    }
}

fn escape(x: f64, y: f64, passes: u32) -> u32 {
    let (mut a, mut b) = (0.0, 0.0);
    for pass in 0..passes {
        if a * a + b * b > 4.0 {
            return pass;
        }
        (a, b) = (a * a - b * b + x, 2.0 * a * b + y);
    }
    passes
}

peeredge_task::export!(Tile);
