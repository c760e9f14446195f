//! A list that is nearly always short.

/// The first `N` stand in place, further ones on the heap.
pub(super) struct Few<T, const N: usize> {
    first: [Option<T>; N],
    used: usize,
    more: Vec<T>,
}

impl<T, const N: usize> Few<T, N> {
    pub(super) const fn new() -> Few<T, N> {
        Few { first: [const { None }; N], used: 0, more: Vec::new() }
    }

    pub(super) fn push(&mut self, value: T) {
        match self.first.get_mut(self.used) {
            Some(place) => *place = Some(value),
            None => self.more.push(value),
        }
        self.used += 1;
    }

    pub(super) fn get(&self, at: usize) -> Option<&T> {
        match self.first.get(at) {
            Some(place) => place.as_ref(),
            None => self.more.get(at - N),
        }
    }

    #[cfg(any(test, feature = "log"))]
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        (0..self.used).filter_map(|at| self.get(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_more_than_few_is_kept_as_well() {
        let mut few = Few::<u32, 3>::new();
        (0..7).for_each(|n| few.push(n));
        assert_eq!(few.iter().copied().collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!((few.get(6), few.get(7)), (Some(&6), None));
    }
}
