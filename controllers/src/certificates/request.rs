//! What a certificate request asks for.

use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;

/// The subject and the names of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    pub common_name: String,
    pub organizations: Vec<String>,
    pub dns: usize,
    pub ip: usize,
    pub email: usize,
    pub uri: usize,
}

impl Asked {
    /// Reads the PEM of a PKCS#10 request.
    pub fn parse(pem: &[u8]) -> Result<Self, String> {
        let (_, block) = x509_parser::pem::parse_x509_pem(pem)
            .map_err(|_| "PEM block type must be CERTIFICATE REQUEST".to_owned())?;
        let (_, request) = X509CertificationRequest::from_der(&block.contents).map_err(|error| error.to_string())?;
        let subject = &request.certification_request_info.subject;
        let text = |name: &x509_parser::x509::AttributeTypeAndValue<'_>| name.as_str().ok().map(str::to_owned);
        let mut asked = Self {
            common_name: subject.iter_common_name().last().and_then(text).unwrap_or_default(),
            organizations: subject.iter_organization().filter_map(text).collect(),
            ..Self::default()
        };
        for extension in request.requested_extensions().into_iter().flatten() {
            let ParsedExtension::SubjectAlternativeName(names) = extension else { continue };
            names.general_names.iter().for_each(|name| asked.count(name));
        }
        Ok(asked)
    }

    fn count(&mut self, name: &GeneralName<'_>) {
        match name {
            GeneralName::DNSName(_) => self.dns += 1,
            GeneralName::IPAddress(_) => self.ip += 1,
            GeneralName::RFC822Name(_) => self.email += 1,
            GeneralName::URI(_) => self.uri += 1,
            _ => {}
        }
    }

    /// Whether the subject is of the group of nodes.
    ///
    /// # Errors
    /// That it is not, in Kubernetes' words.
    pub fn check_group(&self) -> Result<(), String> {
        if self.organizations != ["system:nodes"] {
            return Err("subject organization is not system:nodes".to_owned());
        }
        Ok(())
    }

    /// Whether the subject has the name of a node.
    pub fn check_node(&self) -> Result<(), String> {
        if !self.common_name.starts_with("system:node:") {
            return Err("subject common name does not begin with system:node: ".to_owned());
        }
        Ok(())
    }
}
