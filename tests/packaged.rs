//! The configurations in the packages (`cross/targets`) against what the programs print.

/// What the agent prints, without the keys that only a place can know: with an example's id it would run, as somebody else.
fn without_required(defaults: &str) -> String {
    let mut text = String::new();
    let mut is_required = false;
    for line in defaults.lines() {
        if is_required && !line.starts_with('#') {
            text.push_str("# ");
        }
        text.push_str(line);
        text.push('\n');
        is_required = line == "## Required.";
    }
    text
}

#[test]
fn the_agents_packaged_configuration_is_what_it_prints_without_what_only_a_place_can_know() {
    let packaged = include_str!("../cross/targets/simpul-agent/agent.toml");
    let printed = simpul_agent::config::print_defaults();
    assert!(
        packaged == without_required(&printed),
        "cross/targets/simpul-agent/agent.toml is not what `simpul-agent config print-defaults` prints with a `# ` before \
         each key under `## Required.` that has none"
    );
    assert!(packaged.contains("\n# node = "), "an example's id must not be a default");
}

#[test]
fn the_hubs_packaged_configuration_is_what_it_prints() {
    let packaged = include_str!("../cross/targets/simpul-hub/hub.toml");
    assert!(
        packaged == simpul_hub::config::print_defaults(),
        "cross/targets/simpul-hub/hub.toml is not what `simpul-hub config print-defaults` prints: write it anew"
    );
}
