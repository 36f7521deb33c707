//! How wide a request is.

/// Objects that a list hands out for one seat.
const OBJECTS: usize = 1000;
/// Seats of a request at the most.
const WIDEST: u32 = 10;

/// The seats of a list over this many objects, of which it shows `limit` at the most (0: all).
pub(crate) fn for_list(objects: usize, limit: usize) -> u32 {
    let shown = if limit == 0 { objects } else { objects.min(limit) };
    u32::try_from(shown.div_ceil(OBJECTS)).unwrap_or(WIDEST).clamp(1, WIDEST)
}
