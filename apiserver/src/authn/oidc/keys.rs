//! An issuer's public keys, fetched by discovery.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse};
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::fetch::Fetcher;

/// Between fetches, if nothing else asks for one.
const AGE: Duration = Duration::from_secs(3600);
/// Between fetches, whoever asks.
const PAUSE: Duration = Duration::from_secs(3);
/// After a first failure; it doubles up to [`LONGEST_BACKOFF`].
const FIRST_BACKOFF: Duration = Duration::from_millis(500);
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);

type Set = HashMap<String, DecodingKey>;

/// The keys of one issuer.
pub(super) struct Keys {
    issuer: String,
    discovery: String,
    fetcher: Fetcher,
    set: ArcSwap<Set>,
    /// When they were asked for last.
    asked: Mutex<Option<Instant>>,
}

impl Keys {
    pub(super) fn new(issuer: &str, discovery: Option<String>, ca_pem: Option<&str>) -> Result<Self, String> {
        let fetcher = Fetcher::new(ca_pem)?;
        let usual = || format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let discovery = discovery.unwrap_or_else(usual);
        Ok(Self { issuer: issuer.to_owned(), discovery, fetcher, set: ArcSwap::default(), asked: Mutex::default() })
    }

    /// The key of this id; all of them for a token that names none.
    pub(super) fn matching(&self, id: Option<&str>) -> Vec<DecodingKey> {
        let set = self.set.load();
        match id {
            Some(id) => set.get(id).cloned().into_iter().collect(),
            None => set.values().cloned().collect(),
        }
    }

    /// Fetches them at the start and now and then, until `stop`.
    pub(super) async fn keep(&self, stop: CancellationToken) {
        let mut backoff = FIRST_BACKOFF;
        loop {
            let pause = if self.fetch(Duration::ZERO).await {
                backoff = FIRST_BACKOFF;
                AGE
            } else {
                backoff = (backoff * 2).min(LONGEST_BACKOFF);
                backoff
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Fetches them now, unless that has just been done; callers at the same time share one fetch.
    pub(super) async fn refresh(&self) {
        self.fetch(PAUSE).await;
    }

    async fn fetch(&self, pause: Duration) -> bool {
        let mut asked = self.asked.lock().await;
        if asked.is_some_and(|at| at.elapsed() < pause) {
            return true;
        }
        let fetched = self.discover().await;
        *asked = Some(Instant::now());
        match fetched {
            Ok(set) => {
                tracing::info!(issuer = self.issuer, keys = set.len(), "the keys of an OpenID Connect issuer");
                self.set.store(Arc::new(set));
                true
            }
            Err(error) => {
                tracing::warn!(issuer = self.issuer, error, "cannot get the keys of an OpenID Connect issuer");
                false
            }
        }
    }

    async fn discover(&self) -> Result<Set, String> {
        let found = self.fetcher.get(&self.discovery).await?;
        if found["issuer"] != self.issuer.as_str() {
            return Err(format!("the issuer calls itself {}", found["issuer"]));
        }
        let place = found["jwks_uri"].as_str().ok_or("its discovery document names no jwks_uri")?;
        read(self.fetcher.get(place).await?)
    }
}

/// The keys that sign, of a JSON Web Key Set; what is not understood is passed over.
fn read(set: Value) -> Result<Set, String> {
    let Some(Value::Array(keys)) = set.get("keys") else { return Err("its key set has no keys".to_owned()) };
    let usable = keys.iter().filter_map(|key| serde_json::from_value::<Jwk>(key.clone()).ok());
    let set = JwkSet { keys: usable.collect() };
    let signs = |key: &&Jwk| matches!(key.common.public_key_use, None | Some(PublicKeyUse::Signature));
    let keys = set.keys.iter().enumerate().filter(|(_, key)| signs(key)).filter_map(|(index, key)| {
        let id = key.common.key_id.clone().unwrap_or_else(|| format!("#{index}"));
        Some((id, DecodingKey::from_jwk(key).ok()?))
    });
    Ok(keys.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_not_understood_is_passed_over() {
        let good = json!({"kty": "RSA", "kid": "a", "use": "sig", "alg": "RS256", "n": "AQAB", "e": "AQAB"});
        let encrypts = json!({"kty": "RSA", "kid": "b", "use": "enc", "n": "AQAB", "e": "AQAB"});
        let strange = json!({"kty": "moon", "kid": "c"});
        let set = read(json!({"keys": [strange, good, encrypts, 7]})).unwrap();
        assert_eq!(set.keys().collect::<Vec<_>>(), ["a"]);
        assert!(read(json!({})).is_err());
    }
}
