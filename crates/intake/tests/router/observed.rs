//! What an operator sees: readiness and counters, and nobody's address in either.

use std::time::Duration;

use axum::body::Body as HttpBody;
use axum::http::{Request, StatusCode};
use domain::Language;
use http_body_util::BodyExt;
use serde_json::json;
use service_runtime::{Shutdown, admin, metrics_page};
use shipper::CatalogueCopy;
use tower::ServiceExt;

use crate::support::{CANARY, Role, catalogue, notice};

#[tokio::test]
async fn readiness_and_counters_tell_what_happens() {
    let page = metrics_page::install().unwrap();
    let shutdown = Shutdown::new();
    let no_catalogue = CatalogueCopy::load("/nowhere/catalogue.json".into());
    for (role, ready, failing) in [
        (Role::new(), StatusCode::OK, None),
        (
            Role::with(CatalogueCopy::fixed(catalogue()), 0),
            StatusCode::SERVICE_UNAVAILABLE,
            Some("[-]intake_spool failed"),
        ),
        (
            Role::with(no_catalogue, spool::REQUEST_LIMIT_BYTES),
            StatusCode::SERVICE_UNAVAILABLE,
            Some("[-]catalogue failed"),
        ),
    ] {
        let checks = intake::readiness(&role.doors);
        let operator = admin::router(page.clone(), checks, &shutdown);
        let request = Request::get("/readyz?verbose")
            .body(HttpBody::empty())
            .unwrap();
        let response = operator.oneshot(request).await.unwrap();
        assert_eq!(response.status(), ready);
        let report = response.into_body().collect().await.unwrap().to_bytes();
        let report = String::from_utf8(report.to_vec()).unwrap();
        assert!(report.contains(failing.unwrap_or("ready")), "{report}");

        let hash = notice(1, Language::En);
        for email in [CANARY, "rhian.canary"] {
            role.post_json(&json!({"email": email, "newsletter": "council-news", "notice": hash}))
                .await;
        }
        let confirm = format!("/confirm/{}", role.confirm_token(Duration::from_hours(1)));
        role.post(&confirm, "text/plain", "").await;
    }
    let metrics = page.render();
    for counter in [
        "letterbox_sign_ups_total{outcome=\"accepted\"}",
        "letterbox_sign_ups_total{outcome=\"invalid\"}",
        "letterbox_sign_ups_total{outcome=\"unavailable\"}",
        "letterbox_confirms_total{outcome=\"accepted\"}",
        "letterbox_confirms_total{outcome=\"unavailable\"}",
    ] {
        assert!(metrics.contains(counter), "no {counter} in {metrics}");
    }
    assert!(!metrics.contains("rhian"), "{metrics}");
}
