//! What a search chooses.

use super::capacity::Amounts;
use super::offers::Offer;
use super::request::Alternative;

/// A device for a request.
#[derive(Clone)]
pub(super) struct Choice<'s, 'a> {
    pub(super) alternative: &'s Alternative<'a>,
    pub(super) offer: &'s Offer<'a>,
    /// What is taken of a device that several may have.
    pub(super) share: Option<Amounts>,
}
