//! Traces by their id, each in one of a few queues.
//!
//! The queues are lists through the entries' places, so that an entry goes from the middle of one to
//! the back of another without a search. Ids come from clients: they are hashed with a key.

use std::collections::HashMap;

/// A trace's id as a number.
pub(crate) type Id = u128;

/// What stands for no place.
const NONE: u32 = u32::MAX;

/// Where an entry is, as long as it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct At(u32);

struct Slot<T> {
    id: Id,
    before: u32,
    after: u32,
    queue: u8,
    value: T,
}

#[derive(Clone, Copy)]
struct Queue {
    first: u32,
    last: u32,
    length: usize,
}

/// Entries by trace, in `QUEUES` queues.
pub(crate) struct Table<T, const QUEUES: usize> {
    by_id: HashMap<Id, u32, foldhash::fast::RandomState>,
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    queues: [Queue; QUEUES],
}

impl<T: Default, const QUEUES: usize> Table<T, QUEUES> {
    /// Bytes of an entry, about, beside what its value holds.
    pub(crate) const ENTRY: usize = size_of::<Slot<T>>() + 2 * size_of::<(Id, u32)>();

    pub(crate) fn new() -> Table<T, QUEUES> {
        Table {
            by_id: HashMap::default(),
            slots: Vec::new(),
            free: Vec::new(),
            queues: [Queue { first: NONE, last: NONE, length: 0 }; QUEUES],
        }
    }

    #[inline]
    pub(crate) fn find(&self, id: Id) -> Option<At> {
        self.by_id.get(&id).map(|&at| At(at))
    }

    /// A new entry at the back of `queue`. `id` has none yet.
    pub(crate) fn add(&mut self, id: Id, queue: usize, value: T) -> At {
        let slot = Slot { id, before: NONE, after: NONE, queue: queue as u8, value };
        let at = match self.free.pop() {
            Some(at) => {
                self.slots[at as usize] = slot;
                at
            }
            None => {
                self.slots.push(slot);
                self.slots.len() as u32 - 1
            }
        };
        self.by_id.insert(id, at);
        self.link(at, queue);
        At(at)
    }

    /// Takes an entry out.
    pub(crate) fn remove(&mut self, At(at): At) -> (Id, T) {
        self.unlink(at);
        self.free.push(at);
        let slot = &mut self.slots[at as usize];
        self.by_id.remove(&slot.id);
        (slot.id, std::mem::take(&mut slot.value))
    }

    /// To the back of `queue`.
    pub(crate) fn move_to(&mut self, At(at): At, queue: usize) {
        self.unlink(at);
        self.link(at, queue);
    }

    #[inline]
    pub(crate) fn get(&mut self, At(at): At) -> &mut T {
        &mut self.slots[at as usize].value
    }

    pub(crate) fn id(&self, At(at): At) -> Id {
        self.slots[at as usize].id
    }

    /// The queue that it is in.
    #[inline]
    pub(crate) fn queue(&self, At(at): At) -> usize {
        self.slots[at as usize].queue.into()
    }

    /// The one that has been in `queue` for the longest.
    #[inline]
    pub(crate) fn first(&self, queue: usize) -> Option<At> {
        let first = self.queues[queue].first;
        (first != NONE).then_some(At(first))
    }

    /// How many are in `queue`.
    #[inline]
    pub(crate) fn length(&self, queue: usize) -> usize {
        self.queues[queue].length
    }

    /// Those in `queue`, the one first that has been there for the longest.
    pub(crate) fn all(&self, queue: usize) -> impl Iterator<Item = At> {
        let mut next = self.first(queue);
        std::iter::from_fn(move || {
            let at = next?;
            let after = self.slots[at.0 as usize].after;
            next = (after != NONE).then_some(At(after));
            Some(at)
        })
    }

    fn link(&mut self, at: u32, queue: usize) {
        let last = self.queues[queue].last;
        let slot = &mut self.slots[at as usize];
        (slot.before, slot.after, slot.queue) = (last, NONE, queue as u8);
        match self.slots.get_mut(last as usize) {
            Some(before) => before.after = at,
            None => self.queues[queue].first = at,
        }
        self.queues[queue].last = at;
        self.queues[queue].length += 1;
    }

    fn unlink(&mut self, at: u32) {
        let Slot { before, after, queue, .. } = self.slots[at as usize];
        let queue = usize::from(queue);
        match self.slots.get_mut(before as usize) {
            Some(slot) => slot.after = after,
            None => self.queues[queue].first = after,
        }
        match self.slots.get_mut(after as usize) {
            Some(slot) => slot.before = before,
            None => self.queues[queue].last = before,
        }
        self.queues[queue].length -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The oracle is a list for each queue.
        #[test]
        fn queues_are_lists(steps in prop::collection::vec((0u128..8, 0usize..4), 0..200)) {
            let mut table = Table::<u64, 3>::new();
            let mut lists: [Vec<(u128, u64)>; 3] = Default::default();
            for (n, (id, what)) in steps.into_iter().enumerate() {
                let found = table.find(id);
                let listed = lists.iter().position(|list| list.iter().any(|one| one.0 == id));
                prop_assert_eq!(found.map(|at| table.queue(at)), listed);
                match (found, what) {
                    (None, 3) => {}
                    (None, queue) => {
                        table.add(id, queue, n as u64);
                        lists[queue].push((id, n as u64));
                    }
                    (Some(at), _) => {
                        let list = &mut lists[listed.unwrap()];
                        let one = list.remove(list.iter().position(|one| one.0 == id).unwrap());
                        if what == 3 {
                            prop_assert_eq!(table.remove(at), one);
                        } else {
                            table.move_to(at, what);
                            lists[what].push(one);
                        }
                    }
                }
                for (queue, list) in lists.iter().enumerate() {
                    let all: Vec<_> = table.all(queue).collect();
                    let all: Vec<_> =
                        all.into_iter().map(|at| (table.id(at), *table.get(at))).collect();
                    prop_assert_eq!(&all, list);
                    prop_assert_eq!(table.length(queue), list.len());
                    prop_assert_eq!(table.first(queue).map(|at| table.id(at)), list.first().map(|one| one.0));
                }
            }
        }
    }
}
