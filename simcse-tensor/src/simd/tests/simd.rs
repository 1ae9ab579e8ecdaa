//! Every operation of the detected instruction set, compared with the portable instance.

use super::*;

/// Sixteen values, as many as the widest vector has.
type Values = [f32; 16];

/// How many of them operations on fewer values than a vector has see.
const FITTING: usize = 11;

/// The operations on three operands each, value by value; products of them are exact.
struct Operations {
    a: Values,
    b: Values,
    c: Values,
}

/// What every vector operation makes of the operands, in the order in which they are computed.
impl Kernel for Operations {
    type Output = Vec<[u32; 16]>;

    #[inline(always)]
    fn run<S: Simd>(self, s: S, _: &mut [f32]) -> Self::Output {
        let mut found = vec![[0; 16]; 20];
        for at in (0..16).step_by(S::LANES) {
            let mut next = 0;
            let mut put = |v: S::F32| {
                let mut lanes = [0.0; 16];
                s.store(v, &mut lanes);
                found[next][at..at + S::LANES].copy_from_slice(&lanes.map(f32::to_bits)[..S::LANES]);
                next += 1;
            };
            let [a, b, c] = [&self.a, &self.b, &self.c].map(|values| s.load(&values[at..]));
            put(s.splat(self.a[0]));
            put(s.add(a, b));
            put(s.sub(a, b));
            put(s.mul(a, b));
            put(s.div(a, b));
            put(s.fma(a, b, c));
            put(s.sqrt(s.mul(a, a)));
            put(s.max(a, b));
            put(s.max(s.splat(f32::NAN), b));
            put(s.max(a, s.splat(f32::NAN)));
            put(s.round(s.mul(a, s.splat(0.5))));
            put(s.exp2i(s.round(a)));
            put(s.where_less(a, b, b, c));
            put(s.where_less(s.splat(f32::NAN), b, b, c));
            // The first eleven of the sixteen values: whole vectors, and the beginning of one.
            let fit = FITTING.saturating_sub(at).min(S::LANES);
            put(s.load_padded(&self.a[at..at + fit], 7.0));
            let mut fitting = [5.0; 16];
            s.store_fitting(a, &mut fitting[..fit]);
            put(s.load(&fitting));

            // Integers become visible by what they choose and by the halves of their bits.
            let seed = s.add_u32(s.splat_u32(0x9E37_79B9 + at as u32), s.lane_index());
            let (high, low) = s.mul_wide(seed, s.xor(seed, s.splat_u32(0xD251_1F53)));
            let (mut bits_low, mut bits_high) = (s.splat(0.0), s.splat(0.0));
            for bit in 0..16 {
                let threshold = s.splat_u32(1 << bit);
                for (word, bits) in [(low, &mut bits_low), (high, &mut bits_high)] {
                    let (first, second) = s.halves(word);
                    let weight = s.splat(f32::from(bit as u8 + 1));
                    let chosen = s.where_less_u32(first, threshold, weight, s.splat(0.5));
                    let other = s.where_less_u32(second, threshold, weight, s.splat(0.25));
                    *bits = s.add(*bits, s.mul(chosen, other));
                }
            }
            put(bits_low);
            put(bits_high);
            put(s.splat(s.sum(s.load(&self.c)) / S::LANES as f32));
            put(s.splat(s.fold(s.load(&self.b), f32::min)));
        }
        found
    }
}

#[test]
fn operations_are_those_of_the_portable_instance() {
    let operands = || Operations {
        a: std::array::from_fn(|i| [-3.0, 1.5, 0.0, 7.0, -0.5, 2.5, 4.0, -8.0][i % 8] + (i / 8) as f32),
        b: std::array::from_fn(|i| [2.0, -1.0, 0.25, 3.0, 8.0, -4.0, 1.0, 16.0][(i + i / 8) % 8]),
        c: std::array::from_fn(|i| [1.0, 2.0, -3.0, 0.5, 4.0, 0.0, -6.0, 2.0][i % 8]),
    };
    let (found, expected) = (dispatch(operands()), Portable::call(operands()));
    for (operation, (found, expected)) in found.iter().zip(&expected).enumerate() {
        let values = |bits: &[u32; 16]| bits.map(f32::from_bits);
        assert_eq!(found, expected, "operation {operation}: {:?}, {:?}", values(found), values(expected));
    }
}

struct Transposed;

impl Kernel for Transposed {
    type Output = Vec<Vec<f32>>;

    #[inline(always)]
    fn run<S: Simd>(self, s: S, _: &mut [f32]) -> Self::Output {
        let mut square = s.zero_square();
        for i in 0..S::LANES {
            let row: Values = std::array::from_fn(|j| (100 * i + j) as f32);
            square.as_mut()[i] = s.load(&row);
        }
        let columns = s.transpose(square);
        let mut lanes = [0.0; 16];
        let mut read = |i: usize| {
            s.store(columns.as_ref()[i], &mut lanes);
            lanes[..S::LANES].to_vec()
        };
        (0..S::LANES).map(&mut read).collect()
    }
}

#[test]
fn rows_become_columns() {
    for (i, row) in dispatch(Transposed).iter().enumerate() {
        for (j, &value) in row.iter().enumerate() {
            assert_eq!(value, (100 * j + i) as f32);
        }
    }
}
