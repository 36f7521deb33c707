//! What the devices of a claim have to have in common, or to differ in.

use k8s_openapi::api::resource::v1::{DeviceAttribute, DeviceConstraint};

use super::choice::Choice;
use super::offers::Offer;
use super::request::Alternative;

/// Whether a device may join those that are chosen already.
pub(super) fn meets(
    constraints: &[DeviceConstraint],
    alternative: &Alternative<'_>,
    offer: &Offer<'_>,
    chosen: &[Choice<'_, '_>],
) -> bool {
    constraints.iter().filter(|constraint| concerns(constraint, alternative)).all(|constraint| {
        let (name, distinct) = match (&constraint.match_attribute, &constraint.distinct_attribute) {
            (Some(name), _) => (name, false),
            (None, Some(name)) => (name, true),
            (None, None) => return false,
        };
        let Some(own) = attribute(offer, name) else { return false };
        let others = chosen.iter().filter(|choice| concerns(constraint, choice.alternative));
        let mut values = others.filter_map(|choice| attribute(choice.offer, name));
        values.all(|other| (other == own) != distinct)
    })
}

fn concerns(constraint: &DeviceConstraint, alternative: &Alternative<'_>) -> bool {
    let requests = constraint.requests.as_deref().unwrap_or_default();
    requests.is_empty() || requests.iter().any(|name| name == alternative.request || *name == alternative.name)
}

/// The attribute of this full name, which the driver may have left out its own domain of.
fn attribute<'a>(offer: &Offer<'a>, name: &str) -> Option<&'a DeviceAttribute> {
    let attributes = offer.device.attributes.as_ref()?;
    let own = || {
        let (domain, name) = name.split_once('/')?;
        attributes.get(name).filter(|_| domain == offer.slice.spec.driver)
    };
    attributes.get(name).or_else(own)
}
