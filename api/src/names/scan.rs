//! The shapes of names, by hand: these run for every name and label of every write.

fn ends_well(bytes: &[u8], end: impl Fn(u8) -> bool, inner: impl Fn(u8) -> bool) -> bool {
    match bytes {
        [] => false,
        [only] => end(*only),
        [first, middle @ .., last] => end(*first) && end(*last) && middle.iter().all(|b| end(*b) || inner(*b)),
    }
}

fn lower(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit()
}

pub(super) fn is_dns_label(value: &str) -> bool {
    ends_well(value.as_bytes(), lower, |b| b == b'-')
}

pub(super) fn is_dns_subdomain(value: &str) -> bool {
    value.split('.').all(is_dns_label)
}

pub(super) fn is_underscore_label(value: &str) -> bool {
    let value = value.strip_prefix('_').unwrap_or(value);
    ends_well(value.as_bytes(), lower, |b| b == b'-' || b == b'_')
}

pub(super) fn is_sysctl_part(value: &str) -> bool {
    ends_well(value.as_bytes(), lower, |b| b == b'-' || b == b'_')
}

pub(super) fn is_label_name(value: &str) -> bool {
    ends_well(value.as_bytes(), |b| b.is_ascii_alphanumeric(), |b| b"-_.".contains(&b))
}
