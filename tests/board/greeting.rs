//! Who the board is, over restarts.

use simpul_testkit::board::{EmulatedBoard, Options};
use simpul_wire::board::{FromBoard, Hardware, JournalState, PROTOCOL_VERSION, ResetReason};

use crate::peer::{Peer, SETTINGS, board};

#[tokio::test]
async fn an_ungreeted_board_says_hello_by_itself() {
    let (_folder, board) = board(None).await;
    let mut peer = Peer::open(&board.tty());
    let FromBoard::Hello(hello) = peer.until("a hello", |message| matches!(message, FromBoard::Hello(_))).await else {
        unreachable!()
    };
    assert!(!hello.greeted);
    assert_eq!((hello.protocol, hello.hardware), (PROTOCOL_VERSION, Hardware::Lm3s6965));
    assert_eq!((hello.serial, hello.boot, hello.reset), (*b"SERIAL-1", 1, ResetReason::PowerOn));
    assert_eq!(hello.journal, JournalState::Empty);
}

#[tokio::test]
async fn a_board_that_was_killed_keeps_its_settings_and_counts_its_boots() {
    let (_folder, mut board) = board(None).await;
    let (_, first) = Peer::linked(&board).await;
    // The hello has the settings before the journal does; a board's write takes a few milliseconds.
    board.let_pass(500).await.unwrap();
    board.power_on().await.unwrap();
    let mut peer = Peer::open(&board.tty());
    let FromBoard::Hello(second) = peer.until("a hello", |message| matches!(message, FromBoard::Hello(_))).await else {
        unreachable!()
    };
    assert_eq!((second.boot, second.journal), (first.boot + 1, JournalState::Good));
    assert_eq!((second.settings, second.reset), (SETTINGS, ResetReason::PowerOn));
}

#[tokio::test]
async fn two_boards_have_two_serials() {
    let folder = tempfile::tempdir().unwrap();
    let mut serials = Vec::new();
    let mut boards = Vec::new();
    for serial in [*b"SERIAL-A", *b"SERIAL-B"] {
        let directory = folder.path().join(String::from_utf8_lossy(&serial).as_ref());
        let board = EmulatedBoard::start(Options { directory, serial, module: None, sockets: None }).await.unwrap();
        let (_, hello) = Peer::linked(&board).await;
        serials.push(hello.serial);
        boards.push(board);
    }
    assert_eq!(serials, [*b"SERIAL-A", *b"SERIAL-B"]);
}
