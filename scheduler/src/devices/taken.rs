//! Which devices are in use.

use std::collections::{HashMap, HashSet};

use k8s_openapi::api::resource::v1::AllocationResult;

use super::capacity::{Amounts, read};
use super::offers::Id;

/// The devices that claims have.
#[derive(Default)]
pub(super) struct Taken<'a> {
    whole: HashSet<Id<'a>>,
    /// What is taken of those that several have.
    shared: HashMap<Id<'a>, Amounts>,
}

impl<'a> Taken<'a> {
    /// What these allocations take; looking after devices takes nothing.
    pub(super) fn by(allocations: impl Iterator<Item = &'a AllocationResult>) -> Self {
        let mut taken = Self::default();
        let devices = allocations.filter_map(|allocation| allocation.devices.as_ref());
        let results = devices.flat_map(|devices| devices.results.iter().flatten());
        for result in results.filter(|result| result.admin_access != Some(true)) {
            let id: Id<'a> = [&result.driver, &result.pool, &result.device];
            if result.share_id.is_none() {
                taken.whole.insert(id);
                continue;
            }
            let amounts = taken.shared.entry(id).or_default();
            for (name, amount) in result.consumed_capacity.iter().flatten() {
                let sum = amounts.entry(name.clone()).or_default();
                *sum = sum.add(read(amount));
            }
        }
        taken
    }

    /// Somebody has the device for himself.
    pub(super) fn is_whole(&self, id: &Id<'_>) -> bool {
        self.whole.contains(id)
    }

    /// Somebody has the device or a share of it.
    pub(super) fn is_used(&self, id: &Id<'_>) -> bool {
        self.is_whole(id) || self.shared.contains_key(id)
    }

    /// What is taken of a device.
    pub(super) fn of(&self, id: &Id<'_>) -> Amounts {
        self.shared.get(id).cloned().unwrap_or_default()
    }
}
