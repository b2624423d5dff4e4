//! The numbers of one process type's dynos: how many there may be, which are taken, which crashed. What
//! every kind of pool has in common, whatever lies in its slots.

use std::collections::BTreeMap;

use jiff::Timestamp;
use wpaas_slug::feed::{DynoState, Scale};

use super::size;

/// The slots of one process type without what is in them.
pub(super) struct Roster {
    scale: Scale,
    /// Replaced by a newer release: what comes back is not kept.
    retired: bool,
    /// By dyno number.
    slots: BTreeMap<u32, Slot>,
    /// Numbers whose last instance crashed and that were not started again.
    crashed: BTreeMap<u32, Timestamp>,
}

struct Slot {
    since: Timestamp,
    up: bool,
}

impl Roster {
    pub(super) fn new(scale: Scale) -> Self {
        Self { scale, retired: false, slots: BTreeMap::new(), crashed: BTreeMap::new() }
    }

    pub(super) fn set_scale(&mut self, scale: Scale) {
        self.scale = scale;
        self.crashed.retain(|number, _| *number <= scale.max);
    }

    pub(super) fn is_off(&self) -> bool {
        self.scale.max == 0
    }

    pub(super) fn is_retired(&self) -> bool {
        self.retired
    }

    pub(super) fn retire(&mut self) {
        self.retired = true;
    }

    /// Slots that are taken.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The numbers that are taken.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u32> {
        self.slots.keys().copied()
    }

    /// Whether there are more slots than there may be.
    pub(super) fn is_over_maximum(&self) -> bool {
        self.slots.len() > size(self.scale.max)
    }

    /// Whether the slot is one of those that are more than there may be: as on Heroku those with the highest numbers.
    pub(super) fn is_surplus(&self, number: u32) -> bool {
        let surplus = self.slots.len().saturating_sub(size(self.scale.max));
        self.slots.keys().rev().take(surplus).any(|at| *at == number)
    }

    /// Whether there are more slots than there must be.
    pub(super) fn is_over_minimum(&self) -> bool {
        self.slots.len() > size(self.scale.min)
    }

    /// Takes the lowest free number, if the scale allows one more.
    pub(super) fn open(&mut self) -> Option<u32> {
        self.open_up_to(self.scale.max)
    }

    /// Takes the lowest free number, if there are fewer than the scale's minimum. After a crash it takes a
    /// request to start again, or an instance that cannot start would be started for ever.
    pub(super) fn open_for_minimum(&mut self) -> Option<u32> {
        self.open_up_to(self.wanted())
    }

    fn open_up_to(&mut self, max: u32) -> Option<u32> {
        if self.slots.len() >= size(max) {
            return None;
        }
        let number = (1..=max).find(|number| !self.slots.contains_key(number))?;
        self.reopen(number);
        Some(number)
    }

    /// How many have to run without a request.
    fn wanted(&self) -> u32 {
        let rest = self.retired || !self.crashed.is_empty();
        if rest { 0 } else { self.scale.min.min(self.scale.max) }
    }

    /// Whether some have to run without a request.
    pub(super) fn has_minimum(&self) -> bool {
        self.scale.min > 0
    }

    /// The slot gets another instance.
    pub(super) fn reopen(&mut self, number: u32) {
        self.crashed.remove(&number);
        self.slots.insert(number, Slot { since: Timestamp::now(), up: false });
    }

    pub(super) fn close(&mut self, number: u32) {
        self.slots.remove(&number);
    }

    /// The slot's instance is running.
    pub(super) fn mark_up(&mut self, number: u32) {
        if let Some(slot) = self.slots.get_mut(&number) {
            slot.up = true;
        }
    }

    /// The slot's instance ended by a trap or a limit.
    pub(super) fn mark_crashed(&mut self, number: u32) {
        if !self.retired {
            self.crashed.insert(number, Timestamp::now());
        }
    }

    /// The dyno `number`, or all, will be started again.
    pub(super) fn forget_crashes(&mut self, number: Option<u32>) {
        self.crashed.retain(|at, _| number.is_some_and(|number| number != *at));
    }

    /// Whether no slot is taken and [`Roster::open_for_minimum`] has none to give.
    pub(super) fn is_quiet(&self) -> bool {
        self.slots.is_empty() && self.wanted() == 0
    }

    /// The dynos as `ps` shows them, by number. None at all is one that is idle.
    pub(super) fn dynos(&self) -> Vec<(u32, DynoState, Timestamp)> {
        let state_of = |slot: &Slot| if slot.up { DynoState::Up } else { DynoState::Starting };
        let mut dynos: BTreeMap<u32, (DynoState, Timestamp)> =
            self.crashed.iter().map(|(at, since)| (*at, (DynoState::Crashed, *since))).collect();
        dynos.extend(self.slots.iter().map(|(at, slot)| (*at, (state_of(slot), slot.since))));
        dynos.into_iter().map(|(number, (state, since))| (number, state, since)).collect()
    }
}
