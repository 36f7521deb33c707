//! Which master's code is running. turmoil does not say; each host has a runtime of its own, which does.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use tokio::runtime::{Handle, Id};

use super::world::World;

thread_local! {
    static HOSTS: RefCell<HashMap<Id, (usize, Rc<World>)>> = RefCell::default();
}

/// The calling host is this master, in this world.
pub(super) fn enter(master: usize, world: &Rc<World>) {
    HOSTS.with_borrow_mut(|hosts| hosts.insert(Handle::current().id(), (master, world.clone())));
}

fn with<T>(read: impl FnOnce(usize, &World) -> T) -> Option<T> {
    let id = Handle::try_current().ok()?.id();
    HOSTS.with_borrow(|hosts| hosts.get(&id).map(|(master, world)| read(*master, world)))
}

/// The master whose code is running.
pub(super) fn current() -> Option<usize> {
    with(|master, _| master)
}

/// By how much its calendar is wrong, in milliseconds.
pub(super) fn clock_offset() -> i64 {
    with(|master, world| world.clocks.borrow()[master]).unwrap_or(0)
}
