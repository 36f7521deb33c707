//! How versions are converted into each other.

use base64::Engine;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;

use crate::strategy::validate::{At, Errors};

/// Whether a definition may have certificates that cannot be read: as long as nothing is converted, or if it had them.
pub(super) fn may_have_bad_certificates(old: &Value) -> bool {
    let bundle = old.pointer("/spec/conversion/webhook/clientConfig/caBundle").and_then(Value::as_str);
    let bundle = bundle.unwrap_or_default();
    crate::custom::condition(old, "Established") != "True" || !bundle.is_empty() && !has_certificates(bundle)
}

fn has_certificates(bundle: &str) -> bool {
    let bytes = base64::engine::general_purpose::STANDARD.decode(bundle).unwrap_or_default();
    let mut found = CertificateDer::pem_slice_iter(&bytes).filter_map(Result::ok);
    found.any(|der| x509_parser::parse_x509_certificate(&der).is_ok())
}

/// `lenient` lets the webhook have certificates that cannot be read.
pub(super) fn check(at: &At<'_>, lenient: bool, errors: &mut Errors) {
    errors.one_of(&at.get("strategy"), &["None", "Webhook"]);
    let webhook = at.get("webhook");
    let client = At::new(webhook.get("clientConfig").value, at.path.child("webhookClientConfig"));
    let reviews = At::new(webhook.get("conversionReviewVersions").value, at.path.child("conversionReviewVersions"));
    if at.get("strategy").str() != "Webhook" {
        let why = "should not be set when strategy is not set to Webhook";
        if !client.is_null() {
            errors.forbidden(&client, why);
        }
        if !reviews.is_empty() {
            errors.forbidden(&reviews, why);
        }
        return;
    }
    if client.is_null() {
        errors.required(&client, "required when strategy is set to Webhook");
    } else {
        crate::strategy::client_config(&client, errors);
        let bundle = client.get("caBundle");
        if !lenient && !bundle.str().is_empty() && !has_certificates(bundle.str()) {
            errors.invalid(&bundle, "unable to load root certificates: unable to parse bytes as PEM block");
        }
    }
    crate::strategy::review_versions(&reviews, "", errors);
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;
    use mainstay_api::field::Path;
    use serde_json::json;

    use super::*;

    fn conversion(bundle: &str) -> Value {
        json!({"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"],
            "clientConfig": {"url": "https://a.example/x", "caBundle": STANDARD.encode(bundle)}}})
    }

    fn good() -> String {
        rcgen::generate_simple_self_signed(vec!["a.example".to_owned()]).unwrap().cert.pem()
    }

    #[test]
    fn certificates_can_be_read() {
        let texts = |bundle: &str, lenient: bool| {
            let (of, mut errors) = (conversion(bundle), Errors::default());
            check(&At::new(&of, Path::new("spec").child("conversion")), lenient, &mut errors);
            errors.0.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert!(texts(&good(), false).is_empty());
        assert!(texts("x", true).is_empty());
        let refused = texts("x", false);
        assert!(refused[0].contains("unable to load root certificates"), "{refused:?}");
    }

    #[test]
    fn what_is_established_keeps_its_bad_certificates_but_gets_none() {
        let definition = |established: &str, bundle: &str| {
            json!({"spec": {"conversion": conversion(bundle)},
                "status": {"conditions": [{"type": "Established", "status": established}]}})
        };
        assert!(may_have_bad_certificates(&definition("False", &good())));
        assert!(may_have_bad_certificates(&definition("True", "x")));
        assert!(!may_have_bad_certificates(&definition("True", &good())));
        assert!(!may_have_bad_certificates(&definition("True", "")));
    }
}
