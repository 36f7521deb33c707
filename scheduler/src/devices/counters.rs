//! Counters that the devices of a pool share (<https://kep.k8s.io/4815>).

use k8s_openapi::api::resource::v1::{Counter, Device};
use mainstay_api::quantity::Quantity;

use super::capacity::read;
use super::offers::{Id, Pool, devices, id};

/// Whether a pool's counters suffice for one more device beside those in use.
pub(super) fn suffice(pool: &Pool<'_>, device: &Device, is_used: impl Fn(&Id<'_>) -> bool) -> bool {
    consumed(device).all(|(set, name, counter)| {
        let Some(all) = offered(pool, set, name) else { return false };
        let used = used(pool, set, name, &is_used);
        used.add(read(&counter.value)) <= all
    })
}

/// Set, name and amount of what a device takes.
fn consumed(device: &Device) -> impl Iterator<Item = (&str, &str, &Counter)> {
    let sets = device.consumes_counters.iter().flatten();
    sets.flat_map(|set| {
        set.counters.iter().map(move |(name, counter)| (set.counter_set.as_str(), name.as_str(), counter))
    })
}

fn offered(pool: &Pool<'_>, set: &str, name: &str) -> Option<Quantity> {
    let mut sets = pool.slices.iter().flat_map(|slice| slice.spec.shared_counters.iter().flatten());
    sets.find(|own| own.name == set)?.counters.get(name).map(|counter| read(&counter.value))
}

fn used(pool: &Pool<'_>, set: &str, name: &str, is_used: &impl Fn(&Id<'_>) -> bool) -> Quantity {
    let all = pool.slices.iter().flat_map(|slice| devices(slice).map(move |device| (id(slice, device), device)));
    let in_use = all.filter(|(id, _)| is_used(id)).flat_map(|(_, device)| consumed(device));
    let same = in_use.filter(|(own_set, own_name, _)| *own_set == set && *own_name == name);
    same.fold(Quantity::zero(), |sum, (_, _, counter)| sum.add(read(&counter.value)))
}
