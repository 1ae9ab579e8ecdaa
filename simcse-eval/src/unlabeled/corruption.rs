//! Corrupted copies of texts: words are dropped and reordered, letters mistyped.
//!
//! This file knows characters. It must not know encoders.

use simcse_tensor::rng::Philox;

/// How badly a text is corrupted; each probability is between 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Corruption {
    /// The probability that a word is dropped; at least one word stays.
    pub drop: f32,
    /// The probability that two neighboring words change places.
    pub swap: f32,
    /// The probability that a word gets a typing error: a letter left out, doubled, or exchanged
    /// with its neighbor.
    pub typo: f32,
}

/// What a random number is drawn for. Each kind has a counter of its own, so that one probability
/// does not change the draws of another.
#[derive(Clone, Copy)]
enum Event {
    Drop,
    Keep,
    Swap,
    Typo,
    Position,
}

/// Random numbers for one text.
struct Draws {
    philox: Philox,
    text: u32,
}

impl Draws {
    /// A number that is uniform in `[0, 1)`.
    fn uniform(&self, event: Event, index: usize) -> f32 {
        let word = self.philox.block([index as u32, self.text, event as u32, 0])[0];
        (word >> 8) as f32 / (1 << 24) as f32
    }

    /// One of the first `count` numbers.
    fn below(&self, count: usize, event: Event, index: usize) -> usize {
        ((self.uniform(event, index) * count as f32) as usize).min(count - 1)
    }
}

impl Corruption {
    /// A corrupted copy of `text`. It is a function of the text, `seed`, and `number`, which should
    /// differ from text to text.
    ///
    /// Words are separated by whitespace. In a text of one word, such as a sentence in a script
    /// without spaces, characters take the place of words, and there are no typing errors.
    ///
    /// ```
    /// use simcse_eval::unlabeled::Corruption;
    ///
    /// let corruption = Corruption { drop: 0.5, swap: 0.0, typo: 0.0 };
    /// let copy = corruption.apply("how do I mount a usb stick", 42, 0);
    /// let words: Vec<_> = copy.split(' ').collect();
    /// assert!(!words.is_empty() && words.len() < 7);
    /// assert_eq!(copy, corruption.apply("how do I mount a usb stick", 42, 0));
    /// ```
    #[must_use]
    pub fn apply(&self, text: &str, seed: u64, number: u32) -> String {
        let draws = Draws { philox: Philox::new(seed), text: number };
        let words: Vec<&str> = text.split_whitespace().collect();
        if words.len() > 1 {
            let units = self.arrange(words, &draws);
            let units: Vec<_> = units.iter().map(|(index, word)| self.mistype(word, *index, &draws)).collect();
            units.join(" ")
        } else {
            let characters = text.trim().chars().collect();
            self.arrange(characters, &draws).into_iter().map(|(_, character)| character).collect()
        }
    }

    /// Drops and reorders `units`; each comes with its former position.
    fn arrange<T: Copy>(&self, units: Vec<T>, draws: &Draws) -> Vec<(usize, T)> {
        let all: Vec<(usize, T)> = units.into_iter().enumerate().collect();
        let mut kept: Vec<_> =
            all.iter().copied().filter(|(index, _)| draws.uniform(Event::Drop, *index) >= self.drop).collect();
        if kept.is_empty() && !all.is_empty() {
            kept.push(all[draws.below(all.len(), Event::Keep, 0)]);
        }
        for index in 1..kept.len() {
            if draws.uniform(Event::Swap, index) < self.swap {
                kept.swap(index - 1, index);
            }
        }
        kept
    }

    fn mistype(&self, word: &str, index: usize, draws: &Draws) -> String {
        let mut letters: Vec<char> = word.chars().collect();
        if letters.len() < 3 || draws.uniform(Event::Typo, index) >= self.typo {
            return word.to_owned();
        }
        let position = draws.below(letters.len() - 1, Event::Position, 2 * index);
        match draws.below(3, Event::Position, 2 * index + 1) {
            0 => drop(letters.remove(position)),
            1 => letters.insert(position, letters[position]),
            _ => letters.swap(position, position + 1),
        }
        letters.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sorted<T: Ord>(items: impl Iterator<Item = T>) -> Vec<T> {
        let mut items: Vec<_> = items.collect();
        items.sort();
        items
    }

    #[test]
    fn nothing_happens_with_probability_0() {
        let none = Corruption { drop: 0.0, swap: 0.0, typo: 0.0 };
        assert_eq!(none.apply(" slow  boot ", 1, 0), "slow boot");
        assert_eq!(none.apply("語文", 1, 0), "語文");
        assert_eq!(none.apply("", 1, 0), "");
    }

    #[test]
    fn one_word_always_stays() {
        let all = Corruption { drop: 1.0, swap: 1.0, typo: 0.0 };
        let kept: Vec<_> = (0..50).map(|number| all.apply("a b c", 7, number)).collect();
        assert!(kept.iter().all(|word| word.len() == 1));
        assert!(["a", "b", "c"].iter().all(|word| kept.iter().any(|kept| kept == word)), "each word at some time");
    }

    #[test]
    fn a_certain_typing_error_changes_every_longer_word() {
        let typo = Corruption { drop: 0.0, swap: 0.0, typo: 1.0 };
        for number in 0..50 {
            let copy = typo.apply("ab wxyz", 3, number);
            let (short, long) = copy.split_once(' ').unwrap();
            assert_eq!(short, "ab");
            assert!(long != "wxyz" && (3..=5).contains(&long.len()), "{long}");
        }
    }

    #[test]
    fn words_are_dropped_as_often_as_asked() {
        let half = Corruption { drop: 0.25, swap: 0.0, typo: 0.0 };
        let text = vec!["w"; 100].join(" ");
        let kept: usize = (0..200).map(|number| half.apply(&text, 5, number).split(' ').count()).sum();
        // The standard deviation of the share is 0.0031.
        assert!((kept as f64 / 20_000.0 - 0.75).abs() < 0.0125, "{kept} of 20,000");
    }

    proptest! {
        #[test]
        fn swaps_keep_every_word(text in "([a-z]{1,4} ){2,8}[a-z]", seed in 0..u64::MAX, number in 0..u32::MAX) {
            let swap = Corruption { drop: 0.0, swap: 0.5, typo: 0.0 };
            let copy = swap.apply(&text, seed, number);
            prop_assert_eq!(sorted(copy.split(' ')), sorted(text.split(' ')));
        }

        #[test]
        fn any_text_can_be_corrupted(text in ".{0,40}", seed in 0..u64::MAX) {
            let heavy = Corruption { drop: 0.5, swap: 0.5, typo: 1.0 };
            let copy = heavy.apply(&text, seed, 0);
            prop_assert_eq!(copy.is_empty(), text.trim().is_empty());
        }
    }
}
