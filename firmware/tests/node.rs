//! The node step by step: what must come before what.

use simpul_firmware::kept::Kept;
use simpul_firmware::node::{Inputs, Node, Outputs, Start};
use simpul_wire::board::{
    FromBoard, Greet, Hardware, JournalState, NumberedBody, PROTOCOL_VERSION, ResetReason, Settings, ToBoard,
};

fn node(settings: Settings) -> Node {
    let kept = Kept { settings, ..Kept::default() };
    let (hardware, firmware, serial) = (Hardware::Lm3s6965, [0, 1, 0], [7; 8]);
    let (reset, journal) = (ResetReason::PowerOn, JournalState::Good);
    Node::new(0, Start { hardware, firmware, serial, reset, journal, kept })
}

/// On mains with a free line.
fn quiet() -> Inputs {
    Inputs { power_good: true, line_free: true, ..Inputs::default() }
}

/// Greeted, its boot number kept, everything that it had to say acknowledged or sent.
fn greeted(node: &mut Node) -> u64 {
    let greet = ToBoard::Greet(Greet { protocol: PROTOCOL_VERSION, wall_ms: None });
    node.step(0, &quiet());
    node.step(1, &Inputs { kept: Some(true), ..quiet() });
    node.step(2, &Inputs { received: Some(Ok(greet)), ..quiet() });
    for now_ms in 3..5_000 {
        let outputs = node.step(now_ms, &quiet());
        if let Some(FromBoard::Numbered(numbered)) = outputs.send {
            let ack = ToBoard::Ack(simpul_wire::board::Ack { boot: numbered.boot, seq: numbered.seq });
            node.step(now_ms, &Inputs { received: Some(Ok(ack)), ..quiet() });
        }
    }
    5_000
}

fn totals_in(outputs: &Outputs) -> Option<u32> {
    match &outputs.send {
        Some(FromBoard::Numbered(numbered)) => match &numbered.body {
            NumberedBody::Totals(totals) => Some(totals[0].short),
            _ => None,
        },
        _ => None,
    }
}

#[test]
fn a_press_is_not_sent_before_the_journal_has_it() {
    let mut node = node(Settings { desks: 1, ..Settings::default() });
    let mut now_ms = greeted(&mut node);
    let mut step = |node: &mut Node, inputs: &Inputs| {
        now_ms += 1;
        node.step(now_ms, inputs)
    };
    for _ in 0..100 {
        step(&mut node, &Inputs { buttons: 1, ..quiet() });
    }
    let mut keep = None;
    for _ in 0..100 {
        keep = step(&mut node, &quiet()).keep.or(keep);
    }
    assert_eq!(keep.map(|kept| kept.totals[0].short), Some(1), "the press goes to the journal");
    // The journal takes its time; nothing but that may pass meanwhile.
    for _ in 0..5_000 {
        assert_eq!(totals_in(&step(&mut node, &quiet())), None, "sent before it was kept");
    }
    let mut sent = totals_in(&step(&mut node, &Inputs { kept: Some(true), ..quiet() }));
    for _ in 0..10 {
        sent = sent.or(totals_in(&step(&mut node, &quiet())));
    }
    assert_eq!(sent, Some(1));
}

#[test]
fn a_second_press_while_the_journal_writes_the_first_is_not_in_the_totals_that_are_sent() {
    let mut node = node(Settings { desks: 1, ..Settings::default() });
    let mut now_ms = greeted(&mut node);
    let mut step = |node: &mut Node, inputs: &Inputs| {
        now_ms += 1;
        node.step(now_ms, inputs)
    };
    for buttons in [1, 0, 1, 0] {
        for _ in 0..100 {
            step(&mut node, &Inputs { buttons, ..quiet() });
        }
    }
    // Both presses are counted, the journal has answered for the first only.
    let outputs = step(&mut node, &Inputs { kept: Some(true), ..quiet() });
    assert_eq!(outputs.keep.map(|kept| kept.totals[0].short), Some(2));
    let mut sent = totals_in(&outputs);
    for _ in 0..10 {
        sent = sent.or(totals_in(&step(&mut node, &quiet())));
    }
    assert_eq!(sent, Some(1));
}
