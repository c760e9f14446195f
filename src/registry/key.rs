//! The label values of one look-up as a few words: what the cache hashes, compares and keeps.
//!
//! Tried, with three values of 4 to 15 bytes: a product of 128 bits for each value instead of one of
//! 64 for each word costs 0.8 ns more; taking a value apart without a branch on its length costs 3 ns
//! more where lengths repeat, and is no faster where they are drawn at random.

use std::hash::{BuildHasher, RandomState};

/// Words of a key: 88 bytes of text and the lengths, or six values of any length by address.
pub(crate) const WORDS: usize = 12;
/// Most values whose two words stand at fixed places.
const MOST_SHORT: usize = WORDS / 2;
/// Longest such value. A length is four bits of the head.
const LONGEST_SHORT: usize = 15;
/// Most values of a long key: the length of each is a byte of its first word.
const MOST_LONG: usize = 8;

/// The head of no key: a head says how many values there are, and one more.
pub(super) const NO_HEAD: u64 = 0;
const LONG: u64 = 1 << 62;
const STATIC: u64 = 1 << 63;
/// Below the family in a head: the number of values and six lengths.
const HEAD_BITS: u32 = 4 + 24;
/// Families that a head tells apart, of all that a process ever has.
pub(super) const MOST_IDS: u64 = LONG >> HEAD_BITS;

/// What the words are multiplied with, so that no client can aim label values at one cell.
#[derive(Clone, Copy)]
pub(super) struct Seeds {
    head: u64,
    words: [u64; WORDS],
}

impl Seeds {
    /// By which all keys hash alike.
    pub(super) const NONE: Seeds = Seeds { head: 0, words: [0; WORDS] };

    pub(super) fn draw() -> Seeds {
        let random = RandomState::new();
        Seeds::from(|index| random.hash_one(index))
    }

    pub(super) fn from(random: impl Fn(usize) -> u64) -> Seeds {
        // Two words that differ in their highest bits alone must still hash apart: odd factors.
        // Both words of an eight-byte value differ in the same bits: so that their sum is odd too,
        // the second factor is even once, which loses a bit that differs in no text of one byte a
        // character.
        let factor = |index| match index % 2 {
            0 => random(index) | 1,
            _ => random(index) & !3 | 2,
        };
        Seeds { head: random(WORDS) | 1, words: std::array::from_fn(factor) }
    }
}

/// One look-up: a family and its label values.
///
/// Head and used words are equal if and only if family, kind and values are: the head, or the head
/// and the first word, say how long each value is, and every byte of it is in its words.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    pub(super) hash: u64,
    /// The family, and what the words are.
    pub(super) head: u64,
    /// How many of `words` count, from the first.
    pub(super) used: usize,
    pub(super) words: [u64; WORDS],
}

impl Key {
    pub(super) const NONE: Key = Key { hash: 0, head: NO_HEAD, used: 0, words: [0; WORDS] };

    /// The key of `values` as text where it has the fast form: up to six values of at most 15 bytes.
    #[inline(always)]
    pub(super) fn short<const N: usize>(
        seeds: &Seeds,
        family: u64,
        values: &[&str; N],
    ) -> Option<Key> {
        if N > MOST_SHORT {
            return None;
        }
        let mut all_lengths = 0;
        let mut lengths = 0;
        for value in values {
            all_lengths |= value.len();
            lengths = lengths << 4 | value.len() as u64;
        }
        if all_lengths > LONGEST_SHORT {
            return None;
        }
        let head = head(family, N) | lengths;
        let mut words = [0; WORDS];
        let mut hash = head.wrapping_mul(seeds.head);
        // By index over what the type says, here and where keys are compared: the loop is unrolled,
        // and the words stay in registers.
        for at in 0..N {
            let (first, last) = ends(values[at]);
            words[2 * at] = first;
            words[2 * at + 1] = last;
            hash = hash
                .wrapping_add(first.wrapping_mul(seeds.words[2 * at]))
                .wrapping_add(last.wrapping_mul(seeds.words[2 * at + 1]));
        }
        Some(Key { hash, head, used: 2 * N, words })
    }

    /// Makes this the key of `values` as text where it has no fast form; none past eight values, 255
    /// bytes in one, or 88 in all, each rounded up to whole words.
    ///
    /// In place, and counted in locals: a key that is moved stalls on the words just written.
    #[inline(always)]
    pub(super) fn set_long(&mut self, seeds: &Seeds, family: u64, values: &[&str]) -> Option<()> {
        if values.len() > MOST_LONG {
            return None;
        }
        self.head = LONG | head(family, values.len());
        let mut hash = self.head.wrapping_mul(seeds.head);
        let mut lengths = 0;
        let mut used = 1;
        let mut push = |word: u64| {
            *self.words.get_mut(used)? = word;
            hash = hash.wrapping_add(word.wrapping_mul(seeds.words[used]));
            used += 1;
            Some(())
        };
        for value in values {
            lengths = lengths << 8 | u64::from(u8::try_from(value.len()).ok()?);
            let mut rest = value.as_bytes();
            let Some(last) = rest.last_chunk() else {
                let (first, last) = ends(value);
                push(first | last << 32)?;
                continue;
            };
            while let Some((block, after)) = rest.split_first_chunk()
                && !after.is_empty()
            {
                push(u64::from_le_bytes(*block))?;
                rest = after;
            }
            // Where it is no full word, it overlaps with the one before.
            push(u64::from_le_bytes(*last))?;
        }
        self.words[0] = lengths;
        self.hash = hash.wrapping_add(lengths.wrapping_mul(seeds.words[0]));
        self.used = used;
        Some(())
    }

    /// The key of `values` as text, in the form that it has.
    pub(super) fn of_text(seeds: &Seeds, family: u64, values: &[&str]) -> Option<Key> {
        fn short<const N: usize>(seeds: &Seeds, family: u64, values: &[&str]) -> Option<Key> {
            Key::short::<N>(seeds, family, values.try_into().ok()?)
        }
        let short = match values.len() {
            0 => short::<0>(seeds, family, values),
            1 => short::<1>(seeds, family, values),
            2 => short::<2>(seeds, family, values),
            3 => short::<3>(seeds, family, values),
            4 => short::<4>(seeds, family, values),
            5 => short::<5>(seeds, family, values),
            6 => short::<6>(seeds, family, values),
            _ => None,
        };
        short.or_else(|| {
            let mut key = Key::NONE;
            key.set_long(seeds, family, values).map(|()| key)
        })
    }

    /// The key of `values` by where they are; none past six. Never equal to a key of text.
    ///
    /// Sound because what is `'static` is neither changed nor freed: the same address and length
    /// are the same text for good. Whoever unloads a library whose text is still in use has broken
    /// that promise already.
    #[inline(always)]
    pub(super) fn of_static(seeds: &Seeds, family: u64, values: &[&'static str]) -> Option<Key> {
        if values.len() > MOST_SHORT {
            return None;
        }
        let head = STATIC | head(family, values.len());
        let mut words = [0; WORDS];
        let mut hash = head.wrapping_mul(seeds.head);
        for at in 0..values.len() {
            words[2 * at] = values[at].as_ptr().addr() as u64;
            words[2 * at + 1] = values[at].len() as u64;
            // Not the length: who begins at the same place is hardly ever somebody else.
            hash = hash.wrapping_add(words[2 * at].wrapping_mul(seeds.words[2 * at]));
        }
        Some(Key { hash, head, used: 2 * values.len(), words })
    }
}

/// A family has one number of values, and still two that differ in it would not be confused.
#[inline(always)]
fn head(family: u64, values: usize) -> u64 {
    family << HEAD_BITS | (values as u64 + 1) << 24
}

/// A value of at most 16 bytes in two words: of two values as long as each other, the words are
/// equal where the bytes are. Of a longer one its first eight bytes and its last.
#[inline(always)]
pub(super) fn ends(value: &str) -> (u64, u64) {
    let bytes = value.as_bytes();
    // Both ends, which overlap: no loop and no copy for what is not a full word.
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        return (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
        return (first.into(), last.into());
    }
    let (Some(&first), Some(&middle), Some(&last)) =
        (bytes.first(), bytes.get(bytes.len() / 2), bytes.last())
    else {
        return (0, 0);
    };
    (u64::from(first) | u64::from(middle) << 8, last.into())
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn text(family: u64, values: &[&str]) -> Option<Key> {
        Key::of_text(&Seeds::from(|index| index as u64 * 0x1357_9bdf_0246_8ace), family, values)
    }

    fn same(one: &Key, other: &Key) -> bool {
        one.head == other.head && one.words[..one.used] == other.words[..one.used]
    }

    /// Few letters, so that two drawn values are often alike, and characters of one to four bytes.
    /// Lengths to both sides of every way to take a value apart.
    fn value() -> impl Strategy<Value = String> {
        prop_oneof![
            4 => "[ab]{0,3}",
            4 => "a{3,9}",
            2 => "[a\u{0}]{0,9}",
            2 => "a{6,9}[bé]{0,1}a{6,9}",
            2 => "[é語😀]{0,5}",
            1 => "a{78,82}",
            1 => "[ab]{15,33}",
            1 => "a{250,260}",
        ]
    }

    fn strs(values: &[String]) -> Vec<&str> {
        values.iter().map(String::as_str).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn keys_are_the_same_where_family_and_values_are(
            families in (1u64..3, 1u64..3),
            ours in vec(value(), 0..9),
            theirs in vec(value(), 0..9),
        ) {
            let one = text(families.0, &strs(&ours));
            let other = text(families.1, &strs(&theirs));
            if let (Some(one), Some(other)) = (one, other) {
                let equal = families.0 == families.1 && ours == theirs;
                prop_assert_eq!(same(&one, &other), equal);
                prop_assert!(!equal || one.hash == other.hash);
            }
        }

        #[test]
        fn one_changed_byte_or_border_is_another_key(
            values in vec("[a-d]{0,18}", 2..6), at: prop::sample::Index,
        ) {
            let all = values.concat();
            prop_assume!(!all.is_empty());
            let mut left = at.index(all.len());
            let mut changed = values.clone();
            for value in &mut changed {
                if left < value.len() {
                    value.replace_range(left..=left, "z");
                    break;
                }
                left -= value.len();
            }
            let mut moved = values.clone();
            if let Some(letter) = moved[0].pop() {
                moved[1].insert(0, letter);
            }
            let key = |values: &[String]| text(1, &strs(values));
            if let (Some(one), Some(changed)) = (key(&values), key(&changed)) {
                prop_assert!(!same(&one, &changed));
            }
            if moved != values && let (Some(one), Some(moved)) = (key(&values), key(&moved)) {
                prop_assert!(!same(&one, &moved));
            }
        }
    }

    #[test]
    fn what_is_too_long_has_no_key() {
        let long = "a".repeat(256);
        let any = |values: &[&str]| text(1, values).is_some();
        assert!(any(&[&long[..88]]) && !any(&[&long[..89]]));
        assert!(!any(&[&long]));
        assert!(any(&["a"; 8]) && !any(&["a"; 9]));
        assert!(any(&[&long[..40], &long[..40]]) && !any(&[&long[..41], &long[..41]]));
        let address = |values: &[&'static str]| Key::of_static(&Seeds::NONE, 1, values).is_some();
        assert!(address(&["a"; 6]) && !address(&["a"; 7]));
    }

    #[test]
    fn an_address_is_never_text_and_says_how_long() {
        let values = ["swarm.init", "execute", "success"];
        let key = |values: &[&'static str]| Key::of_static(&Seeds::draw(), 1, values).unwrap();
        assert!(same(&key(&values), &key(&values)));
        assert!(!same(&key(&values), &text(1, &values).unwrap()));
        assert!(!same(&key(&["", ""]), &text(1, &["", ""]).unwrap()));
        assert!(!same(&key(&values), &key(&[&values[0][..5], values[1], values[2]])));
        assert!(!same(&key(&values), &key(&[values[1], values[0], values[2]])));
    }

    #[test]
    fn kinds_of_keys_differ_in_their_heads() {
        let long = "a".repeat(16);
        let short = text(1, &["", ""]).unwrap().head;
        let long = text(1, &[&long, ""]).unwrap().head;
        let address = Key::of_static(&Seeds::NONE, 1, &["", ""]).unwrap().head;
        assert!(short != long && long != address && address != short);
    }

    #[test]
    fn values_that_differ_in_one_letter_hash_apart_by_any_seeds() {
        let inside = [("", ""), ("tool", ""), ("tool_00", ""), ("swarm.tool_000", "")];
        let blocks = [
            ("swarm.tool_00000", ""),
            ("swarm.tool_0000", "zz"),
            ("swarm.tool_0000", "0123456789"),
        ];
        for (before, after) in inside.into_iter().chain(blocks) {
            let seeds = Seeds::draw();
            let hash = |letter: char| {
                let tool = format!("{before}{letter}{after}");
                Key::of_text(&seeds, 1, &[&tool, "execute"]).unwrap().hash
            };
            let hashes: std::collections::BTreeSet<u64> = (' '..='~').map(hash).collect();
            assert_eq!(hashes.len(), (' '..='~').count(), "{before}_{after}");
        }
    }

    #[test]
    fn seeds_are_drawn_anew() {
        let hash = || Key::of_text(&Seeds::draw(), 1, &["a"]).unwrap().hash;
        assert_ne!(hash(), hash());
    }
}
