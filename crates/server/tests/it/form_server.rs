//! A service that takes forms, as a test wants it.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc};

use bytes::Bytes;
use http::{Response, header};
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::{
    net::TcpListener,
    task::{JoinHandle, JoinSet},
};
use url::{Url, form_urlencoded};

/// What was posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Posted {
    pub(crate) path: String,
    pub(crate) authorization: Option<String>,
    pub(crate) fields: BTreeMap<String, String>,
}

type Script = Arc<dyn Fn(&Posted) -> (u16, String) + Send + Sync>;

/// The service; it is gone when this is dropped.
pub(crate) struct FormServer {
    pub(crate) url: Url,
    posts: Arc<Mutex<Vec<Posted>>>,
    serving: JoinHandle<()>,
}

impl FormServer {
    /// Answers with a status and JSON, or any text.
    pub(crate) async fn start<T: ToString>(answer: impl Fn(&Posted) -> (u16, T) + Send + Sync + 'static) -> Self {
        let answer = move |posted: &Posted| {
            let (status, body) = answer(posted);
            (status, body.to_string())
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let posts = Arc::<Mutex<Vec<Posted>>>::default();
        let (seen, script): (_, Script) = (Arc::clone(&posts), Arc::new(answer));
        let serving = tokio::spawn(async move {
            // They end with the task that accepts them.
            let mut connections = JoinSet::new();
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                let (seen, script) = (Arc::clone(&seen), Arc::clone(&script));
                let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                    let (seen, script) = (Arc::clone(&seen), Arc::clone(&script));
                    async move {
                        let (parts, body) = request.into_parts();
                        assert_eq!(parts.method, "POST");
                        assert_eq!(parts.headers[header::CONTENT_TYPE], "application/x-www-form-urlencoded");
                        let body = body.collect().await.unwrap().to_bytes();
                        let posted = Posted {
                            path: parts.uri.path().to_owned(),
                            authorization: parts
                                .headers
                                .get(header::AUTHORIZATION)
                                .map(|value| value.to_str().unwrap().to_owned()),
                            fields: form_urlencoded::parse(&body).into_owned().collect(),
                        };
                        let (status, body) = script(&posted);
                        seen.lock().push(posted);
                        let answer = Response::builder().status(status).body(Full::new(Bytes::from(body)));
                        Ok::<_, Infallible>(answer.unwrap())
                    }
                });
                let connection =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                connections.spawn(connection);
            }
        });
        Self { url, posts, serving }
    }

    /// What was posted so far.
    pub(crate) fn posts(&self) -> Vec<Posted> {
        self.posts.lock().clone()
    }
}

impl Drop for FormServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
