//! HTTPS for tests: a client without conveniences, and a server of fixed documents.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use mainstay_apiserver::pki::{self, ClusterCa, Profile};
use parking_lot::Mutex;
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

/// A WebSocket to one server.
pub(crate) type Socket = WebSocketStream<TlsStream<TcpStream>>;

/// A client of one server.
#[derive(Clone)]
pub(crate) struct Client {
    address: SocketAddr,
    tls: Arc<rustls::ClientConfig>,
    headers: Vec<(&'static str, String)>,
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

impl Client {
    pub(crate) fn new(address: SocketAddr, ca_pem: &str) -> Self {
        Self { address, tls: Arc::new(pki::client_config(ca_pem, None).unwrap()), headers: Vec::new() }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn token(self, token: &str) -> Self {
        self.with("authorization", format!("Bearer {token}"))
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: &Value) -> Answer {
        let [answer] = self.send_in_turn([(method, path, body)]).await;
        answer
    }

    /// One request after the other over one connection.
    pub(crate) async fn send_in_turn<const N: usize>(&self, requests: [(Method, &str, &Value); N]) -> [Answer; N] {
        let stream = TokioIo::new(self.connect().await);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
        let driving = tokio::spawn(connection);
        let mut answers = Vec::new();
        for (method, path, body) in requests {
            answers.push(self.send_over(&mut sender, method, path, body).await);
        }
        driving.abort();
        answers.try_into().unwrap_or_else(|_| unreachable!("one answer a request"))
    }

    async fn connect(&self) -> TlsStream<TcpStream> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        TlsConnector::from(self.tls.clone()).connect(name, stream).await.unwrap()
    }

    /// A WebSocket on which one of these protocols is spoken.
    pub(crate) async fn open(&self, path: &str, protocols: &str) -> Socket {
        let mut request = format!("wss://{}{path}", self.address).into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", protocols.parse().unwrap());
        tokio_tungstenite::client_async(request, self.connect().await).await.unwrap().0
    }

    async fn send_over(
        &self,
        sender: &mut SendRequest<Full<Bytes>>,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header("host", "127.0.0.1");
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let bytes = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        let request = request.header("content-type", "application/json").body(Full::new(bytes)).unwrap();
        sender.ready().await.unwrap();
        let (parts, body) = sender.send_request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { code: parts.status.as_u16(), headers: parts.headers, body }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &Value::Null).await
    }
}

/// A server whose documents can be changed while it runs; it ends with the test's runtime.
pub(crate) struct Documents {
    pub(crate) address: SocketAddr,
    pub(crate) ca_pem: String,
    documents: Arc<Mutex<HashMap<String, Value>>>,
    asked: Arc<Mutex<usize>>,
}

impl Documents {
    pub(crate) async fn serve() -> Self {
        let ca = ClusterCa::create().unwrap();
        let serving = Profile::Serving { master: "issuer".into(), addresses: Vec::new() };
        let certificate = pki::ServingCertificate::new(&ca.issue(&serving).unwrap()).unwrap();
        let mut tls = pki::server_config(Arc::new(certificate)).unwrap();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let found =
            Self { address, ca_pem: ca.cert_pem().to_owned(), documents: Arc::default(), asked: Arc::default() };
        let (documents, asked) = (found.documents.clone(), found.asked.clone());
        tokio::spawn(async move {
            let acceptor = TlsAcceptor::from(Arc::new(tls));
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(acceptor.clone(), stream, documents.clone(), asked.clone()));
            }
        });
        found
    }

    pub(crate) fn set(&self, path: &str, document: Value) {
        self.documents.lock().insert(path.to_owned(), document);
    }

    /// How many documents were asked for.
    pub(crate) fn asked(&self) -> usize {
        *self.asked.lock()
    }
}

async fn answer(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    documents: Arc<Mutex<HashMap<String, Value>>>,
    asked: Arc<Mutex<usize>>,
) {
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
        *asked.lock() += 1;
        let found = documents.lock().get(request.uri().path()).map(ToString::to_string);
        let code = if found.is_some() { 200 } else { 404 };
        let body = Full::new(Bytes::from(found.unwrap_or_default()));
        async move { Response::builder().status(code).body(body) }
    });
    drop(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
}
