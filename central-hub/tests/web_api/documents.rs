//! The OpenAPI document describes every route, and nothing else.

use std::collections::BTreeSet;

use serde_json::Value;
use simpul_hub::web::routes;

use super::hub::Hub;

#[tokio::test]
async fn the_document_lists_every_route_and_only_routes() {
    let hub = Hub::open().await;
    let document = hub.get("/api/v1/openapi.json").await.1;
    let described: BTreeSet<String> = document["paths"].as_object().unwrap().keys().cloned().collect();
    let routed: BTreeSet<String> = routes().into_iter().map(|(path, _)| path.to_owned()).collect();
    assert_eq!(described, routed);
}

#[tokio::test]
async fn every_described_method_is_answered_and_others_are_refused() {
    let hub = Hub::open().await;
    let document = hub.get("/api/v1/openapi.json").await.1;
    for (path, methods) in document["paths"].as_object().unwrap() {
        let concrete = path.replace("{id}", "42");
        for method in ["get", "post", "delete"] {
            let described = methods.get(method).is_some();
            let request = hub.request(method.to_uppercase().parse().unwrap(), &concrete).send().await.unwrap();
            assert_eq!(request.status().as_u16() != 405, described, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn every_reference_in_the_document_leads_somewhere() {
    let hub = Hub::open().await;
    let document = hub.get("/api/v1/openapi.json").await.1;
    assert_eq!(document["openapi"].as_str().unwrap().split('.').next(), Some("3"));
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(references.len() > 20, "{references:?}");
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}

fn collect(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| match value {
            Value::String(target) if name == "$ref" => references.push(target.clone()),
            value => collect(value, references),
        }),
        Value::Array(items) => items.iter().for_each(|item| collect(item, references)),
        _ => {}
    }
}
