use simpul_wire::update::ProgramOffer;

use super::super::judge::tests::{key, manifest, public, sign, version};
use super::*;

const HOUR: Duration = Duration::from_secs(3_600);

struct Node {
    core: Core,
    facts: Facts,
}

impl Node {
    /// Runs 0.5.0, revision 7 of its configuration; nobody queues.
    fn new() -> Node {
        let config = UpdateConfig {
            keys: vec![public(&key(1))],
            not_between: vec![(450, 720)],
            zone_minutes: 420,
            look_every: HOUR,
            trial: Duration::from_secs(900),
        };
        let mut notes = Notes::default();
        (notes.revision, notes.agent_floor) = (7, version(3));
        let facts = Facts {
            now: Moment::from_millis(1),
            running: version(5),
            configuration: (7, [7; 32]),
            quiet_for: None,
            minute_of_day: None,
            board: BoardSeen::None,
        };
        Node { core: Core::new(facts.now, config, notes, 3), facts }
    }

    fn on(&mut self, event: Event) -> Vec<String> {
        self.core.handle(&self.facts, event).iter().map(shown).collect()
    }

    fn after(&mut self, time: Duration) -> Vec<String> {
        self.facts.now = self.facts.now + time;
        self.on(Event::Tick)
    }

    fn offered(&mut self, offers: Offers) -> Vec<String> {
        while !self.after(HOUR).contains(&"look".to_owned()) {}
        self.on(Event::Looked(Ok(Box::new(offers))))
    }
}

fn shown(action: &Action) -> String {
    match action {
        Action::Look => "look".into(),
        Action::Answer(Ok(text)) => format!("answer: {text}"),
        Action::Answer(Err(text)) => format!("answer: not: {text}"),
        Action::Fetch(wanted) => format!("fetch {} bytes", wanted.bytes),
        Action::Prepare(job) => format!("prepare {} {}", job.part().name(), job.to()),
        Action::Commit(job) => format!("commit {} {}", job.part().name(), job.to()),
        Action::DropImage => "drop the image".into(),
        Action::Say(told) => {
            let (part, step) = (told.part.name(), told.step.name());
            format!("{part} {} -> {}: {step} {}", told.from, told.to, told.why).trim_end().into()
        }
    }
}

fn agent(minor: u16, rollout: u8) -> Offers {
    let signed = sign(&key(1), &manifest(Part::Agent, minor).to_vec());
    Offers { agent: Some(ProgramOffer { rollout: [rollout; 16], signed }), ..Offers::default() }
}

fn configuration(revision: u64, rollout: u8) -> Offers {
    let offer = ConfigurationOffer { rollout: [rollout; 16], revision, content_bytes: 900, content_sha256: [9; 32] };
    Offers { configuration: Some(offer), ..Offers::default() }
}

fn board(minor: u16, rollout: u8) -> Offers {
    let signed = sign(&key(1), &manifest(Part::Board, minor).to_vec());
    Offers { board: Some(ProgramOffer { rollout: [rollout; 16], signed }), ..Offers::default() }
}

#[test]
fn a_program_is_fetched_prepared_and_put_on_trial_and_each_step_is_told_once() {
    let mut node = Node::new();
    assert_eq!(node.offered(agent(6, 1)), ["fetch 100 bytes"]);
    assert_eq!(node.on(Event::Fetched(Ok(()))), ["agent 0.5.0 -> 0.6.0: fetched", "prepare agent 0.6.0"]);
    assert_eq!(node.on(Event::Prepared(Ok(0))), ["commit agent 0.6.0"]);
    assert_eq!(node.after(HOUR), [""; 0], "it restarts");
}

#[test]
fn an_update_waits_for_the_queue_to_end() {
    let mut node = Node::new();
    node.facts.quiet_for = Some(Duration::from_secs(20));
    node.offered(agent(6, 1));
    node.on(Event::Fetched(Ok(())));
    assert_eq!(node.on(Event::Prepared(Ok(0))), ["agent 0.5.0 -> 0.6.0: waiting people are being served"]);
    assert_eq!(node.after(HOUR), [""; 0]);
    node.facts.quiet_for = Some(Duration::from_secs(700));
    node.facts.minute_of_day = Some(500);
    assert_eq!(node.after(HOUR), [""; 0], "the time of day");
    node.facts.minute_of_day = Some(721);
    assert_eq!(node.after(HOUR), ["commit agent 0.6.0"]);
}

#[test]
fn a_failed_download_is_told_once_and_begun_again_with_a_look() {
    let mut node = Node::new();
    node.offered(agent(6, 1));
    let cut = || Event::Fetched(Err(Trouble::Passing("cut after 7 of 100 bytes".into())));
    assert_eq!(node.on(cut()), ["agent 0.5.0 -> 0.6.0: fetch_failed cut after 7 of 100 bytes"]);
    assert_eq!(node.after(PAUSE_MIN), ["look"]);
    assert_eq!(node.on(Event::Looked(Ok(Box::new(agent(6, 1))))), ["fetch 100 bytes"]);
    assert_eq!(node.on(cut()), [""; 0]);
    // Ever more seldom, and an hour at most.
    let mut pauses = Vec::new();
    for _ in 0..12 {
        let before = node.facts.now;
        while !node.after(Duration::from_secs(1)).contains(&"look".to_owned()) {}
        pauses.push(node.facts.now.since(before));
        node.on(Event::Looked(Err("no hub answered".into())));
    }
    assert!(pauses[0] < Duration::from_secs(62) && pauses[11] <= HOUR + Duration::from_secs(1), "{pauses:?}");
    assert!(pauses[11] > HOUR / 3);
    // A withdrawn one is not fetched on.
    while !node.after(Duration::from_secs(60)).contains(&"look".to_owned()) {}
    assert_eq!(node.on(Event::Looked(Ok(Box::new(Offers::default())))), [""; 0]);
}

#[test]
fn what_is_refused_is_told_once_in_its_rollout_and_told_again_in_another() {
    let mut node = Node::new();
    let older = "agent 0.5.0 -> 0.4.0: refused 0.4.0 is older than 0.5.0, which runs, and is not signed as a downgrade";
    assert_eq!(node.offered(agent(4, 1)), [older]);
    assert_eq!(node.offered(agent(4, 1)), [""; 0]);
    assert_eq!(node.offered(agent(4, 2)), [older]);
    let below = "agent 0.5.0 -> 0.2.0: refused 0.2.0 is below 0.3.0, the oldest that this node still takes";
    assert_eq!(node.offered(agent(2, 3)), [below]);
    assert_eq!(node.offered(agent(5, 4)), ["agent 0.5.0 -> 0.5.0: confirmed runs already"]);
    node.offered(agent(6, 5));
    node.on(Event::Fetched(Ok(())));
    let bad = node.on(Event::Prepared(Err(Trouble::Final("it does not say who it is".into()))));
    assert_eq!(bad, ["agent 0.5.0 -> 0.6.0: refused it does not say who it is", "look"]);
    assert_eq!(node.on(Event::Looked(Ok(Box::new(agent(6, 5))))), [""; 0]);
}

#[test]
fn a_downgrade_is_taken_once_however_often_it_is_replayed() {
    let mut node = Node::new();
    let down = Manifest { downgrade: true, ..manifest(Part::Agent, 4) };
    let offer = |rollout: u8| Offers {
        agent: Some(ProgramOffer { rollout: [rollout; 16], signed: sign(&key(1), &down.to_vec()) }),
        ..Offers::default()
    };
    assert_eq!(node.offered(offer(1)), ["fetch 100 bytes"]);
    node.on(Event::Fetched(Ok(())));
    assert_eq!(node.on(Event::Prepared(Ok(0))), ["commit agent 0.4.0"]);
    let mut later = Node::new();
    later.core.notes = node.core.notes.clone();
    let refused = later.offered(offer(2));
    assert!(refused[0].contains("refused the downgrade to 0.4.0 was taken before"), "{refused:?}");
}

#[test]
fn a_configuration_is_taken_only_with_a_higher_revision() {
    let mut node = Node::new();
    let old = "configuration 7 -> 7: refused revision 7 is not newer than 7, the last that this node judged";
    assert_eq!(node.offered(configuration(7, 1)), [old]);
    assert_eq!(node.offered(configuration(8, 2)), ["fetch 900 bytes"]);
    node.on(Event::Fetched(Ok(())));
    let bad = node.on(Event::Prepared(Err(Trouble::Final("line 3: unknown key".into()))));
    assert_eq!(bad, ["configuration 7 -> 8: refused line 3: unknown key", "look"]);
    node.on(Event::Looked(Ok(Box::new(Offers::default()))));
    let again = "configuration 7 -> 8: refused revision 8 is not newer than 8, the last that this node judged";
    assert_eq!(node.offered(configuration(8, 3)), [again]);
    node.facts.configuration = (7, [9; 32]);
    assert_eq!(node.offered(configuration(9, 4)), ["configuration 7 -> 9: confirmed is in force already"]);
    let mut large = configuration(10, 5);
    large.configuration.as_mut().unwrap().content_bytes = 65_537;
    node.facts.configuration = (7, [7; 32]);
    let refused = "configuration 7 -> 10: refused 65537 bytes, at most 65536: this is no configuration";
    assert_eq!(node.offered(large), [refused]);
}

#[test]
fn the_program_comes_first_then_the_configuration_then_the_board() {
    let mut node = Node::new();
    let talks = |runs, confirmed, given_back, refuses| BoardSeen::Talks {
        runs: version(runs),
        confirmed,
        given_back,
        update: "in words".into(),
        refuses,
    };
    node.facts.board = talks(1, true, None, false);
    let all =
        Offers { agent: agent(6, 1).agent, configuration: configuration(8, 2).configuration, board: board(2, 3).board };
    assert_eq!(node.offered(all.clone()), ["fetch 100 bytes"]);
    node.on(Event::Fetched(Err(Trouble::Passing("cut".into()))));
    node.facts.running = version(6);
    assert_eq!(node.offered(all.clone()), ["agent 0.6.0 -> 0.6.0: confirmed runs already", "fetch 900 bytes"]);
    node.on(Event::Fetched(Err(Trouble::Passing("cut".into()))));
    node.core.notes.told(&[2; 16], Part::Configuration, Step::Confirmed);
    assert_eq!(node.offered(all.clone()), ["fetch 100 bytes"]);
    assert_eq!(node.on(Event::Fetched(Ok(()))), ["board 0.1.0 -> 0.2.0: fetched", "prepare board 0.2.0"]);
    assert_eq!(node.on(Event::Prepared(Ok(77))), ["commit board 0.2.0"]);
    assert_eq!(node.offered(all.clone()), [""; 0], "it is the board's now");
    node.facts.board = talks(2, false, None, false);
    assert_eq!(node.after(HOUR / 60)[0], "board 0.1.0 -> 0.2.0: trial");
    let mut other = Node::new();
    (other.core.notes, other.facts.board) = (node.core.notes.clone(), talks(1, true, Some(77), false));
    assert_eq!(other.after(HOUR / 60)[..2], ["board 0.1.0 -> 0.2.0: rolled_back in words", "drop the image"]);
    node.facts.board = talks(2, true, None, false);
    assert_eq!(node.after(HOUR / 60)[0], "board 0.1.0 -> 0.2.0: confirmed");
    assert_eq!(node.core.notes.board, None);
}

#[test]
fn a_board_that_cannot_take_it_is_told_and_one_that_is_silent_is_waited_for() {
    let mut node = Node::new();
    let none = "board  -> 0.2.0: refused this node has no board ([board] in its configuration)";
    assert_eq!(node.offered(board(2, 1)), [none]);
    node.facts.board = BoardSeen::ByHand;
    let by_hand = "board  -> 0.2.0: refused board.firmware in the node's configuration names the board's image";
    assert_eq!(node.offered(board(2, 2)), [by_hand]);
    node.facts.board = BoardSeen::Silent;
    assert_eq!(node.offered(board(2, 3)), [""; 0]);
    let talks = |refuses| BoardSeen::Talks {
        runs: version(1),
        confirmed: true,
        given_back: None,
        update: "no loader".into(),
        refuses,
    };
    node.facts.board = talks(false);
    assert_eq!(node.offered(board(2, 3)), ["fetch 100 bytes"]);
    node.on(Event::Fetched(Ok(())));
    node.on(Event::Prepared(Ok(5)));
    assert_eq!(node.after(Duration::from_secs(5)), [""; 0]);
    node.facts.board = talks(true);
    let refused = ["board 0.1.0 -> 0.2.0: refused no loader", "drop the image"];
    assert_eq!(node.after(Duration::from_secs(5)), refused);
}

#[test]
fn an_order_to_look_is_answered_with_what_was_found() {
    let mut node = Node::new();
    assert_eq!(node.on(Event::Ordered), ["look"]);
    assert_eq!(node.on(Event::Looked(Ok(Box::new(Offers::default())))), ["answer: nothing new"]);
    node.on(Event::Ordered);
    assert_eq!(node.on(Event::Looked(Err("no hub answered".into()))), ["answer: not: no hub answered"]);
    node.on(Event::Ordered);
    let refused = node.on(Event::Looked(Ok(Box::new(agent(4, 1)))));
    assert_eq!(refused[1], "answer: what is offered is refused: the node's events say why");
    node.on(Event::Ordered);
    let found = ["answer: agent 0.6.0 is fetched", "fetch 100 bytes"];
    assert_eq!(node.on(Event::Looked(Ok(Box::new(agent(6, 2))))), found);
    assert_eq!(node.on(Event::Ordered), ["answer: an update is under way"]);
}

#[test]
fn a_card_that_cannot_be_written_means_another_try_and_no_restart() {
    let mut node = Node::new();
    node.offered(agent(6, 1));
    node.on(Event::Fetched(Ok(())));
    assert_eq!(node.on(Event::Prepared(Ok(0))), ["commit agent 0.6.0"]);
    let said = node.on(Event::NotCommitted("read-only".into()));
    assert_eq!(said, ["agent 0.5.0 -> 0.6.0: fetch_failed read-only"]);
    assert_eq!(node.after(PAUSE_MIN), ["look"]);
}
