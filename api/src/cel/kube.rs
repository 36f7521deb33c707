//! Kubernetes' own libraries: quantities, URLs, addresses, versions, formats of names.

use std::cmp::Ordering;
use std::sync::Arc;

use super::outcome::{Outcome, fail};
use super::{Val, addresses, urls, versions};
use crate::quantity::{Format, Quantity};
use crate::{names, url};

pub(super) fn call(name: &str, values: &[Val]) -> Option<Outcome> {
    quantities(name, values)
        .or_else(|| addresses::call(name, values))
        .or_else(|| urls::call(name, values))
        .or_else(|| versions::call(name, values))
        .or_else(|| formats(name, values))
}

fn order(order: Ordering) -> Val {
    Val::Int(order as i64)
}

fn quantities(name: &str, values: &[Val]) -> Option<Outcome> {
    let made = |quantity: Quantity| Ok(Val::Quantity(Arc::new(quantity)));
    Some(match (name, values) {
        ("quantity", [Val::Text(text)]) => match Quantity::parse(text) {
            Ok(quantity) => made(quantity),
            Err(error) => fail(error.to_string()),
        },
        ("isQuantity", [Val::Text(text)]) => Ok(Val::Bool(Quantity::parse(text).is_ok())),
        ("sign", [Val::Quantity(own)]) => Ok(order((**own).cmp(&Quantity::zero()))),
        ("isGreaterThan", [Val::Quantity(a), Val::Quantity(b)]) => Ok(Val::Bool(a > b)),
        ("isLessThan", [Val::Quantity(a), Val::Quantity(b)]) => Ok(Val::Bool(a < b)),
        ("compareTo", [Val::Quantity(a), Val::Quantity(b)]) => Ok(order(a.cmp(b))),
        ("asInteger", [Val::Quantity(own)]) => {
            own.as_i64().map_or_else(|| fail("cannot convert value to integer"), |whole| Ok(Val::Int(whole)))
        }
        ("isInteger", [Val::Quantity(own)]) => Ok(Val::Bool(own.as_i64().is_some())),
        ("asApproximateFloat", [Val::Quantity(own)]) => Ok(Val::Double(own.as_f64())),
        ("add", [Val::Quantity(a), Val::Quantity(b)]) => made((**a).add(**b)),
        ("add", [Val::Quantity(a), Val::Int(b)]) => made((**a).add(Quantity::new(*b, Format::DecimalSi))),
        ("sub", [Val::Quantity(a), Val::Quantity(b)]) => made((**a).sub(**b)),
        ("sub", [Val::Quantity(a), Val::Int(b)]) => made((**a).sub(Quantity::new(*b, Format::DecimalSi))),
        _ => return None,
    })
}

const FORMATS: [&str; 13] = [
    "dns1123Label",
    "dns1123Subdomain",
    "dns1035Label",
    "dns1123LabelPrefix",
    "dns1123SubdomainPrefix",
    "dns1035LabelPrefix",
    "qualifiedName",
    "labelValue",
    "uri",
    "uuid",
    "byte",
    "date",
    "datetime",
];

fn formats(name: &str, values: &[Val]) -> Option<Outcome> {
    let known = |name: &str| FORMATS.contains(&name);
    match (name, values) {
        ("format.named", [Val::Text(format)]) => {
            let found = known(format).then(|| Arc::new(Val::Format(format.clone())));
            Some(Ok(Val::Optional(found)))
        }
        ("validate", [Val::Format(format), Val::Text(text)]) => {
            let errors = format_errors(format, text);
            let found = (!errors.is_empty()).then(|| Arc::new(Val::list(errors.iter().map(Val::text))));
            Some(Ok(Val::Optional(found)))
        }
        (_, []) => {
            let format = name.strip_prefix("format.").filter(|name| known(name))?;
            Some(Ok(Val::Format(Arc::from(format))))
        }
        _ => None,
    }
}

fn format_errors(format: &str, text: &str) -> Vec<String> {
    let named = |format: &str, why: &str| {
        if crate::schema::fits_format(format, text) { Vec::new() } else { vec![why.to_owned()] }
    };
    match format {
        "dns1123Label" => names::is_dns1123_label(text),
        "dns1123Subdomain" => names::is_dns1123_subdomain(text),
        "dns1035Label" => names::is_dns1035_label(text),
        "dns1123LabelPrefix" => names::is_dns1123_label(&names::mask_trailing_dash(text)),
        "dns1123SubdomainPrefix" => names::is_dns1123_subdomain(&names::mask_trailing_dash(text)),
        "dns1035LabelPrefix" => names::is_dns1035_label(&names::mask_trailing_dash(text)),
        "qualifiedName" => names::is_qualified_name(text),
        "labelValue" => names::is_label_value(text),
        "uri" => url::parse_request(text).err().into_iter().collect(),
        "uuid" => named("uuid", "does not match the UUID format"),
        "byte" => named("byte", "invalid base64"),
        "date" => named("date", "invalid date"),
        _ => named("date-time", "invalid datetime"),
    }
}
