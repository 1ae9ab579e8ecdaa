//! Dropout masks as random variables: their rate, and the independence of masks with neighboring
//! coordinates.

use simcse_tensor::Dropout;
use simcse_tensor::rng::Philox;

const RATE: f32 = 0.1;
/// The probability that a value is kept, at the masks' resolution of 1/65536.
const KEPT: f64 = 1.0 - 6554.0 / 65536.0;
/// Standard deviations; ideal masks exceed this limit with one seed in 16,000.
const SIGMAS: f64 = 4.0;
const WIDTH: usize = 4096;

/// The coordinates of one row of a mask.
#[derive(Clone, Copy)]
struct Row {
    seed: u64,
    step: u32,
    site: u16,
    stream: u32,
    position: usize,
}

impl Row {
    /// Row `i` of several sentences, layers, positions and steps.
    fn numbered(i: usize) -> Self {
        Self {
            seed: 42,
            step: (i / 512) as u32,
            site: (i / 8 % 4 * 3) as u16,
            stream: (i % 8 * 2) as u32,
            position: i / 32 % 16 * 2,
        }
    }

    fn draw(self, mask: &mut [f32]) {
        let Self { seed, step, site, stream, position } = self;
        Dropout { rate: RATE, philox: Philox::new(seed), step, site }.mask(stream, position, mask);
    }
}

#[test]
fn masks_keep_values_at_their_rate() {
    const ROWS: usize = 100_000_000 / WIDTH;
    let mut mask = vec![0.0; WIDTH];
    let mut kept = 0;
    for i in 0..ROWS {
        Row::numbered(i).draw(&mut mask);
        kept += mask.iter().filter(|&&m| m != 0.0).count();
    }
    let draws = (ROWS * WIDTH) as f64;
    let sigmas = (kept as f64 - draws * KEPT) / (draws * KEPT * (1.0 - KEPT)).sqrt();
    println!("kept {:.6} of {draws}, expected {KEPT:.6}: {sigmas:+.2} σ", kept as f64 / draws);
    assert!(sigmas.abs() < SIGMAS, "kept {kept} of {draws}: {sigmas} σ from {KEPT}");
}

/// Checks that what rows keep does not correlate with what their neighbors keep: column `c` with
/// column `c + shift`.
fn assert_uncorrelated(what: &str, shift: usize, neighbor: impl Fn(Row) -> Row) {
    const ROWS: usize = 1000;
    let mut mask = vec![0.0; WIDTH];
    let mut other = vec![0.0; WIDTH + shift];
    let [mut both, mut first, mut second] = [0; 3];
    for i in 0..ROWS {
        let row = Row::numbered(i);
        row.draw(&mut mask);
        neighbor(row).draw(&mut other);
        for (&a, &b) in mask.iter().zip(&other[shift..]) {
            let [a, b] = [a, b].map(|m| usize::from(m != 0.0));
            both += a & b;
            first += a;
            second += b;
        }
    }
    let pairs = (ROWS * WIDTH) as f64;
    let [both, first, second] = [both, first, second].map(|count| count as f64 / pairs);
    let deviation = |mean: f64| (mean * (1.0 - mean)).sqrt();
    let correlation = (both - first * second) / (deviation(first) * deviation(second));
    println!("{what}: correlation {correlation:+.1e} of {pairs} pairs, {:+.2} σ", correlation * pairs.sqrt());
    assert!(correlation.abs() < SIGMAS / pairs.sqrt(), "{what}: correlation {correlation} of {pairs} pairs");
}

#[test]
fn masks_with_neighboring_coordinates_are_uncorrelated() {
    assert_uncorrelated("seeds", 0, |row| Row { seed: row.seed + 1, ..row });
    assert_uncorrelated("steps", 0, |row| Row { step: row.step + 1, ..row });
    assert_uncorrelated("sites of a layer", 0, |row| Row { site: row.site + 1, ..row });
    assert_uncorrelated("layers", 0, |row| Row { site: row.site + 3, ..row });
    assert_uncorrelated("views", 0, |row| Row { stream: row.stream + 1, ..row });
    assert_uncorrelated("sentences", 0, |row| Row { stream: row.stream + 2, ..row });
    assert_uncorrelated("positions", 0, |row| Row { position: row.position + 1, ..row });
    assert_uncorrelated("neighboring columns", 1, |row| row);
    assert_uncorrelated("halves of a random word", 16, |row| row);
    assert_uncorrelated("words of a random block", 32, |row| row);
    assert_uncorrelated("groups of columns", 128, |row| row);
}
