//! A request that has passed the filters.

use http::request::Parts;
use http::{HeaderMap, HeaderName, header};
use mainstay_api::status::ApiResult;
use tonic::body::Body;

use super::negotiate::{self, Form};
use super::path::RequestInfo;
use super::query::Query;
use crate::registry::Row;
use crate::user::UserInfo;

/// A request that may be answered.
pub(crate) struct Admitted {
    pub parts: Parts,
    pub body: Body,
    pub info: RequestInfo,
    pub query: Query,
    pub user: UserInfo,
}

impl Admitted {
    /// A header as text.
    pub fn header(&self, name: HeaderName) -> Option<&str> {
        self.parts.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The `User-Agent`.
    pub fn user_agent(&self) -> &str {
        user_agent(&self.parts.headers)
    }

    /// The form of the answer; collections may be streamed.
    pub fn form(&self, row: &Row, collection: bool) -> ApiResult<Form> {
        let offered: &[&str] = if collection { &negotiate::SERVED_LIST } else { &negotiate::SERVED };
        let form = negotiate::negotiate(self.header(header::ACCEPT), offered, row.custom)?;
        let pretty = form.pretty || negotiate::wants_pretty(&self.query, self.user_agent());
        Ok(Form { pretty, ..form })
    }
}

/// Programs may have names in any letters.
fn user_agent(headers: &HeaderMap) -> &str {
    headers.get(header::USER_AGENT).and_then(|value| std::str::from_utf8(value.as_bytes()).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn user_agents_may_have_any_letters() {
        let told = |bytes: &[u8]| {
            let mut headers = HeaderMap::new();
            headers.insert(header::USER_AGENT, HeaderValue::from_bytes(bytes).unwrap());
            user_agent(&headers).to_owned()
        };
        assert_eq!(told("schlüssel/1".as_bytes()), "schlüssel/1");
        assert_eq!(told(b"\xff"), "");
    }
}
