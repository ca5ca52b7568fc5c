//! axum: API, live events, page; the only place that knows HTTP.
