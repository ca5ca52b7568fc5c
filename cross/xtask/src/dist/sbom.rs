//! What is in a program: a CycloneDX list of its crates, made from cargo's own metadata.
//!
//! By hand because the list is short: cargo-cyclonedx would take several minutes to build for these 60 lines.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, bail};
use serde_json::{Value, json};

use super::products::Product;
use crate::run::{cargo, shown};

/// The list for a product, as JSON. The same sources give the same bytes.
pub fn list(product: &Product) -> anyhow::Result<String> {
    let mut command = cargo(&["metadata", "--locked", "--format-version", "1", "--filter-platform", product.triple]);
    let output = command.output().with_context(|| format!("cannot run {}", shown(&command)))?;
    if !output.status.success() {
        bail!("`{}` failed: {}", shown(&command), String::from_utf8_lossy(&output.stderr));
    }
    let metadata = serde_json::from_slice(&output.stdout).context("cargo's metadata")?;
    Ok(format!("{:#}\n", from_metadata(&metadata, product.program)?))
}

fn from_metadata(metadata: &Value, program: &str) -> anyhow::Result<Value> {
    let packages: BTreeMap<&str, &Value> =
        array(&metadata["packages"]).filter_map(|package| Some((package["id"].as_str()?, package))).collect();
    let root = packages.iter().find(|(_, package)| package["name"] == program).map(|(id, _)| *id);
    let root = root.with_context(|| format!("cargo's metadata has no package {program}"))?;
    let mut uses = BTreeMap::new();
    for node in array(&metadata["resolve"]["nodes"]) {
        let Some(id) = node["id"].as_str() else { continue };
        // A dependency without a kind is one of the program; builds and tests do not end up in it.
        let normal = array(&node["deps"]).filter(|dep| array(&dep["dep_kinds"]).any(|kind| kind["kind"].is_null()));
        uses.insert(id, normal.filter_map(|dep| dep["pkg"].as_str()).collect::<BTreeSet<_>>());
    }
    let mut reached = BTreeSet::new();
    let mut waiting = vec![root];
    while let Some(id) = waiting.pop() {
        if reached.insert(id) {
            waiting.extend(uses.get(id).into_iter().flatten().copied());
        }
    }
    let package = |id: &&str| packages.get(*id).copied();
    let components: Vec<Value> = reached
        .iter()
        .filter(|id| **id != root)
        .filter_map(package)
        .map(|package| component(package, "library"))
        .collect();
    let reference = |id: &str| packages.get(id).map(|package| purl(package));
    let dependencies: Vec<Value> = reached
        .iter()
        .map(|id| {
            let on: Vec<String> = uses.get(id).into_iter().flatten().filter_map(|id| reference(id)).collect();
            json!({ "ref": reference(id), "dependsOn": on })
        })
        .collect();
    Ok(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": component(packages[root], "application") },
        "components": components,
        "dependencies": dependencies,
    }))
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn purl(package: &Value) -> String {
    let text = |key: &str| package[key].as_str().unwrap_or_default().to_owned();
    format!("pkg:cargo/{}@{}", text("name"), text("version"))
}

fn component(package: &Value, kind: &str) -> Value {
    let mut component = json!({
        "type": kind,
        "bom-ref": purl(package),
        "purl": purl(package),
        "name": package["name"],
        "version": package["version"],
    });
    if let Some(license) = package["license"].as_str() {
        // Older crates write `A/B` for `A OR B`.
        component["licenses"] = json!([{ "expression": license.replace('/', " OR ") }]);
    }
    component
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_builds_or_tests_is_not_in_the_list() {
        let package = |name: &str| json!({ "id": name, "name": name, "version": "1.0.0", "license": "MIT/Apache-2.0" });
        let dep = |name: &str, kind: Value| json!({ "pkg": name, "dep_kinds": [{ "kind": kind }] });
        let metadata = json!({
            "packages": [package("program"), package("used"), package("deeper"), package("cc"), package("proptest")],
            "resolve": { "nodes": [
                { "id": "program", "deps": [dep("used", Value::Null), dep("cc", json!("build")), dep("proptest", json!("dev"))] },
                { "id": "used", "deps": [dep("deeper", Value::Null)] },
                { "id": "deeper", "deps": [] },
            ]},
        });
        let list = from_metadata(&metadata, "program").unwrap();
        let names: Vec<&str> = array(&list["components"]).filter_map(|part| part["name"].as_str()).collect();
        assert_eq!(names, ["deeper", "used"]);
        assert_eq!(list["components"][0]["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!(
            list["dependencies"][1],
            json!({ "ref": "pkg:cargo/program@1.0.0", "dependsOn": ["pkg:cargo/used@1.0.0"] })
        );
        assert!(from_metadata(&metadata, "other").unwrap_err().to_string().contains("other"));
    }
}
