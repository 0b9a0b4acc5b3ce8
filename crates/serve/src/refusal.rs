use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// An answer that says why there is none, as `{"error": ".."}`.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) error: String,
}

/// What comes to nothing.
pub(crate) type Answered<T> = Result<T, Refusal>;

impl Refusal {
    pub(crate) fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self { status, error: error.into() }
    }

    pub(crate) fn wrong(error: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error)
    }

    /// Of what was understood, but cannot be done with this index.
    pub(crate) fn unfit(error: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, error)
    }

    pub(crate) fn missing(error: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, error)
    }

    pub(crate) fn busy(error: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error)
    }

    pub(crate) fn broken(error: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, error)
    }
}

impl From<npair_index::Error> for Refusal {
    fn from(error: npair_index::Error) -> Self {
        use npair_index::Error;
        match &error {
            Error::Setting { .. } | Error::Metric(_) | Error::Matrix(_) | Error::Types(_) => {
                Self::unfit(error.to_string())
            }
            Error::Locked { .. } => Self::busy("another program is changing this index: try again in a moment"),
            // Paths of this machine are nobody's business.
            Error::Write { .. } => Self::broken("the index cannot be written: look at the server's folder and disk"),
            _ => Self::broken("the index cannot be read: look at the server's folder"),
        }
    }
}

impl From<npair_metrics::Error> for Refusal {
    fn from(error: npair_metrics::Error) -> Self {
        Self::unfit(error.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut answer = (self.status, Json(serde_json::json!({ "error": self.error }))).into_response();
        let headers = answer.headers_mut();
        match self.status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            _ => {}
        }
        answer
    }
}
