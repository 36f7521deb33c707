//! The cluster's keys and certificates: one CA for clients, servers and peers, the service-account signing key,
//! and what a joiner gets for its join token. Everything lives in `<data dir>/pki`.

mod asn1;
mod ca;
mod check;
mod csr;
mod directory;
mod enrol;
mod join;
mod service_account;
mod subject;
mod tls;

pub use ca::{ClusterCa, Identity, Issued, LEAF_LIFETIME, Profile, new_request};
pub use check::{ClientCertificate, Validity, expiry, renewal, verify_client};
pub(crate) use csr::{request_fault, requested_common_name, requested_organisations};
pub use directory::{MasterNames, MasterPki};
pub use enrol::{discover, enrol, renew_agent};
pub use join::{Admits, JoinToken, TokenUse, discovery_signature, extra_groups, stored_token, verify_discovery};
pub use service_account::ServiceAccountKey;
pub use tls::{ServingCertificate, client_config, install_provider, server_config, unverified_client_config};
pub(crate) use tls::{any_server, client_config_with};

/// What can go wrong with keys and certificates; each text says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file of the `pki` folder cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Key material that does not parse.
    #[error("{what} is not usable: {why}; restore it from a backup or enroll this machine again")]
    Damaged {
        /// Which material.
        what: String,
        /// What the parser says.
        why: String,
    },
    /// A certificate that this cluster's CA did not sign.
    #[error(
        "certificate of {subject:?} was not issued by this cluster's CA; take the credentials from this cluster's kubeconfig"
    )]
    Foreign {
        /// Its common name.
        subject: String,
    },
    /// A certificate outside of its validity.
    #[error("certificate of {subject:?} {when}; renew it, or check the clock of this machine")]
    OutOfDate {
        /// Its common name.
        subject: String,
        /// "expired on …" or "is not valid before …".
        when: String,
    },
    /// A join token that is malformed, unknown, expired, or not meant for this.
    #[error("join token {0}; make a new one with `mainstay token create`")]
    Token(&'static str),
    /// Making a key or a signature failed.
    #[error("cannot {what}: {why}")]
    Crypto {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        why: String,
    },
}

/// Shorthand for this module's results.
pub type PkiResult<T> = Result<T, PkiError>;

/// What is in a PEM block.
#[cfg(test)]
pub(crate) fn der(pem: &str) -> Vec<u8> {
    x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap().1.contents
}

/// Error text of a failed cryptographic step.
pub(crate) fn crypto(what: &'static str) -> impl Fn(rcgen::Error) -> PkiError {
    move |error| PkiError::Crypto { what, why: error.to_string() }
}
