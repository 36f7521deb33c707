//! The way to the masters: a channel each, of which one is in use until it fails; or a service in this process.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures::future::BoxFuture;
use mainstay_proto::v1::objects_client::ObjectsClient;
use rand::Rng as _;
use tokio::time::Instant;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Service, ServiceExt as _};

use crate::config::{Auth, Config};
use crate::error::{Error, Outcome, Result, classify};

/// A gRPC service with its type erased: usable under every generated client.
pub type BoxedService =
    BoxCloneSyncService<http::Request<tonic::body::Body>, http::Response<tonic::body::Body>, TransportError>;

/// Why a call did not get an answer; the cause is its source.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct TransportError(#[source] BoxError);

/// Lists of tens of thousands of objects travel as one message.
const MAX_MESSAGE_BYTES: usize = 1 << 30;
/// TCP and TLS each; short, since there are other masters.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// A stopped master keeps its sockets open; only an unanswered ping tells.
const PING_INTERVAL: Duration = Duration::from_secs(1);
const PING_TIMEOUT: Duration = Duration::from_millis(1500);
const FIRST_BACKOFF: Duration = Duration::from_millis(5);
const MAX_BACKOFF: Duration = Duration::from_millis(400);

/// Whether repeating a call is harmless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Safety {
    /// It changes nothing.
    Read,
    /// It must not happen twice.
    Write,
}

/// A way to send calls; clones share it.
#[derive(Clone)]
pub struct Transport {
    masters: Arc<Masters>,
}

struct Masters {
    members: ArcSwap<Vec<Member>>,
    /// Counts up with every failover; modulo the number of members it is the one in use.
    current: AtomicUsize,
    /// None for a service in this process.
    config: Option<ArcSwap<Config>>,
    timeout: Duration,
    attempt_timeout: Duration,
}

#[derive(Clone)]
struct Member {
    url: String,
    service: BoxedService,
}

impl Transport {
    /// Channels to all masters of `config`, connected when first used. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// [`Error::Config`] if an address, certificate or token cannot be used.
    pub fn connect(config: &Config) -> Result<Self> {
        if config.servers.is_empty() {
            return Err(Error::Config("no server address is given".into()));
        }
        let members = config.servers.iter().map(|url| member(config, url)).collect::<Result<Vec<_>>>()?;
        Ok(Self::of(members, Some(config.clone()), config.timeout, config.attempt_timeout))
    }

    /// Calls go straight to `service`, in this process.
    pub fn in_process<S, B>(service: S) -> Self
    where
        S: Service<http::Request<tonic::body::Body>, Response = http::Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
        B: tonic::codegen::Body<Data = bytes::Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let service = service.map_response(|r: http::Response<B>| r.map(tonic::body::Body::new));
        let service = service.map_err(|e| TransportError(e.into()));
        let member = Member { url: "in-process".into(), service: BoxedService::new(service) };
        Self::of(vec![member], None, Duration::from_secs(30), Duration::from_secs(30))
    }

    fn of(members: Vec<Member>, config: Option<Config>, timeout: Duration, attempt_timeout: Duration) -> Self {
        let members = ArcSwap::from_pointee(members);
        let current = AtomicUsize::new(0);
        let config = config.map(ArcSwap::from_pointee);
        Transport { masters: Arc::new(Masters { members, current, config, timeout, attempt_timeout }) }
    }

    /// Takes over a new list of masters, keeping the channels that stay. The one in use stays in use if it is listed.
    ///
    /// # Errors
    /// [`Error::Config`] if an address cannot be used; the old list then stays.
    pub fn set_servers(&self, servers: &[String]) -> Result<()> {
        let Some(config) = &self.masters.config else { return Ok(()) };
        let config = config.load_full();
        let old = self.masters.members.load_full();
        if servers.is_empty() || old.iter().map(|m| &m.url).eq(servers) {
            return Ok(());
        }
        let known = |url: &String| old.iter().find(|m| m.url == *url).cloned();
        let new: Vec<Member> =
            servers.iter().map(|url| known(url).map_or_else(|| member(&config, url), Ok)).collect::<Result<_>>()?;
        let in_use = &old[self.masters.current.load(Ordering::Acquire) % old.len()].url;
        let position = new.iter().position(|m| m.url == *in_use).unwrap_or(0);
        self.masters.members.store(Arc::new(new));
        self.masters.current.store(position, Ordering::Release);
        Ok(())
    }

    /// Shows other credentials from now on: calls go over new connections, and streams that are open go on over the old
    /// ones.
    ///
    /// # Errors
    /// [`Error::Config`] if they cannot be used; the old ones then stay.
    pub fn set_auth(&self, auth: Auth) -> Result<()> {
        let Some(config) = &self.masters.config else { return Ok(()) };
        let new = Config { auth, ..Config::clone(&config.load()) };
        let urls = self.servers();
        let members = urls.iter().map(|url| member(&new, url)).collect::<Result<Vec<_>>>()?;
        config.store(Arc::new(new));
        self.masters.members.store(Arc::new(members));
        Ok(())
    }

    /// The addresses of the masters in their order.
    pub fn servers(&self) -> Vec<String> {
        self.masters.members.load().iter().map(|m| m.url.clone()).collect()
    }

    /// The address in use.
    pub fn current_server(&self) -> String {
        let members = self.masters.members.load();
        members[self.mark() % members.len()].url.clone()
    }

    /// A service for any generated client; each call goes to the master in use, and a broken connection moves on to the next.
    pub fn service(&self) -> BoxedService {
        BoxedService::new(Failover { transport: self.clone() })
    }

    /// A service that talks to one master only, by its position in [`Transport::servers`].
    pub fn service_of(&self, position: usize) -> Option<BoxedService> {
        self.masters.members.load().get(position).map(|m| m.service.clone())
    }

    /// Moves on to the next master, as after a failure of the one in use.
    pub fn fail_over(&self) {
        self.fail(self.mark());
    }

    pub(crate) fn objects(&self) -> ObjectsClient<BoxedService> {
        ObjectsClient::new(self.service())
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// Names the present choice, so that of many calls that fail together only one moves on.
    pub(crate) fn mark(&self) -> usize {
        self.masters.current.load(Ordering::Acquire)
    }

    pub(crate) fn fail(&self, mark: usize) {
        let next = mark.wrapping_add(1);
        if self.masters.current.compare_exchange(mark, next, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            let members = self.masters.members.load();
            if members.len() > 1 {
                tracing::debug!(from = %members[mark % members.len()].url, to = %members[next % members.len()].url, "failing over");
            }
        }
    }

    /// Sends a call until it is answered, its repetition would be unsafe, or time is up.
    pub(crate) async fn call<R, F, Fut>(&self, safety: Safety, send: F) -> Result<tonic::Response<R>>
    where
        F: Fn(ObjectsClient<BoxedService>) -> Fut,
        Fut: Future<Output = std::result::Result<tonic::Response<R>, tonic::Status>>,
    {
        let deadline = Instant::now() + self.masters.timeout;
        let mut backoff = Retry::new(self.masters.members.load().len());
        loop {
            let mark = self.mark();
            let limit = self.masters.attempt_timeout.min(deadline.saturating_duration_since(Instant::now()));
            let failure = match tokio::time::timeout(limit, send(self.objects())).await {
                Ok(Ok(response)) => return Ok(response),
                Ok(Err(status)) => retryable(safety, classify(&status))?,
                Err(_) if safety == Safety::Write => {
                    self.fail(mark);
                    return Err(Error::Timeout(limit));
                }
                Err(_) => Error::Timeout(limit),
            };
            self.fail(mark);
            let pause = backoff.pause();
            if Instant::now() + pause >= deadline {
                return Err(failure);
            }
            tokio::time::sleep(pause).await;
        }
    }
}

/// Ok: the error to give up with later; Err: the final answer.
fn retryable(safety: Safety, outcome: Outcome) -> Result<Error> {
    match outcome {
        Outcome::Refused(error) => Err(error),
        Outcome::Later(error) => Ok(error),
        Outcome::NotSent(why) => Ok(Error::Unavailable(why)),
        Outcome::Broken(why) if safety == Safety::Read => Ok(Error::Unavailable(why)),
        Outcome::Broken(why) => Err(Error::Uncertain(why)),
    }
}

/// Tries every master once almost at once, then backs off with jitter.
pub(crate) struct Retry {
    free: usize,
    next: Duration,
}

impl Retry {
    pub(crate) fn new(members: usize) -> Self {
        Retry { free: members, next: FIRST_BACKOFF }
    }

    pub(crate) fn pause(&mut self) -> Duration {
        if self.free > 1 {
            self.free -= 1;
            return Duration::from_millis(1);
        }
        let pause = self.next;
        self.next = (self.next * 2).min(MAX_BACKOFF);
        pause.mul_f64(rand::rng().random_range(0.5..1.0))
    }
}

/// Sends to the member in use and moves on when its connection fails.
#[derive(Clone)]
struct Failover {
    transport: Transport,
}

impl Service<http::Request<tonic::body::Body>> for Failover {
    type Response = http::Response<tonic::body::Body>;
    type Error = TransportError;
    type Future = BoxFuture<'static, std::result::Result<Self::Response, TransportError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::result::Result<(), TransportError>> {
        // Readiness is the member's, awaited in `call`: which one it is may change until then.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        let transport = self.transport.clone();
        Box::pin(async move {
            let mark = transport.mark();
            let service = {
                let members = transport.masters.members.load();
                members[mark % members.len()].service.clone()
            };
            let result = service.oneshot(request).await;
            if result.is_err() {
                transport.fail(mark);
            }
            result
        })
    }
}

fn member(config: &Config, url: &str) -> Result<Member> {
    let channel = channel(config, url)?;
    let headers = headers(config)?;
    let service = channel.map_request(move |mut request: http::Request<tonic::body::Body>| {
        for (name, value) in &headers {
            request.headers_mut().append(name, value.clone());
        }
        request
    });
    Ok(Member { url: url.to_owned(), service: BoxedService::new(service.map_err(|e| TransportError(e.into()))) })
}

fn channel(config: &Config, url: &str) -> Result<Channel> {
    let unusable = |e: tonic::transport::Error| {
        let cause = std::error::Error::source(&e).map(|s| format!(": {s}")).unwrap_or_default();
        Error::Config(format!("cannot use server {url:?}: {e}{cause}"))
    };
    let endpoint = Endpoint::from_shared(url.to_owned()).map_err(unusable)?;
    let mut endpoint = endpoint
        .user_agent(config.user_agent.clone())
        .map_err(unusable)?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(16 << 20);
    if url.starts_with("https://") {
        endpoint = endpoint.tls_config(tls(config)).map_err(unusable)?;
    }
    Ok(endpoint.connect_lazy())
}

fn tls(config: &Config) -> ClientTlsConfig {
    let mut tls = ClientTlsConfig::new().timeout(CONNECT_TIMEOUT);
    if let Some(ca) = &config.ca_pem {
        tls = tls.ca_certificate(Certificate::from_pem(ca));
    }
    if let Auth::Certificate { cert_pem, key_pem } = &config.auth {
        tls = tls.identity(Identity::from_pem(cert_pem, key_pem));
    }
    tls
}

fn headers(config: &Config) -> Result<Vec<(http::HeaderName, http::HeaderValue)>> {
    let mut headers = Vec::new();
    if let Auth::Token(token) = &config.auth {
        let mut value = header_value(&format!("Bearer {token}"), "the token")?;
        value.set_sensitive(true);
        headers.push((http::header::AUTHORIZATION, value));
    }
    if let Some(user) = &config.impersonate_user {
        headers
            .push((http::HeaderName::from_static("impersonate-user"), header_value(user, "the user to impersonate")?));
    }
    for group in &config.impersonate_groups {
        let value = header_value(group, "the group to impersonate")?;
        headers.push((http::HeaderName::from_static("impersonate-group"), value));
    }
    Ok(headers)
}

fn header_value(text: &str, what: &str) -> Result<http::HeaderValue> {
    http::HeaderValue::from_str(text)
        .map_err(|_| Error::Config(format!("{what} has characters that no header may carry")))
}
