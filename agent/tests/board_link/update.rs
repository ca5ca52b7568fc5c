//! A board's update through the agent's source, on a real terminal: whatever is lost, refused or broken off, what is
//! counted meanwhile is counted, and the board ends with the image or with the one before it.

use super::*;

/// As CRC-32/ISO-HDLC is defined: reflected, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc: u32, _| (crc >> 1) ^ (0xEDB8_8320 & 0_u32.wrapping_sub(crc & 1)))
    })
}

/// An image of 20,001 bytes.
fn image(seed: u8) -> Vec<u8> {
    (0..20_001_u32).map(|number| (number.wrapping_mul(31) >> 3) as u8 ^ seed).collect()
}

fn place(node: &Node, seed: u8) {
    let image = image(seed);
    let mut file = b"SIMPULFW\x01\x00\x02\x00".to_vec();
    file.extend((image.len() as u32).to_le_bytes());
    file.extend(crc32(&image).to_le_bytes());
    file.extend(image);
    std::fs::write(node.folder.path().join("pico.img"), file).unwrap();
}

/// As if it had come from the hub.
fn fetched(node: &Node, seed: u8) {
    place(node, seed);
    let path = node.folder.path();
    std::fs::rename(path.join("pico.img"), path.join("board.img")).unwrap();
}

fn with_loader() -> FakeBoard {
    let board = FakeBoard::new(1);
    board.inside(|inside| inside.hello.image = ImageState::Confirmed);
    board
}

fn begins(board: &FakeBoard) -> usize {
    board.inside(|inside| inside.heard.iter().filter(|message| matches!(message, ToBoard::UpdateBegin(_))).count())
}

async fn until_told(run: &Run, wanted: &str) {
    run.until_event(wanted, |body| matches!(body, EventBody::Board { detail, .. } if detail.contains(wanted))).await;
}

async fn until_stopped(board: &FakeBoard, at: u32) {
    let is_there = move |message: &ToBoard| matches!(message, ToBoard::UpdateData(piece) if piece.offset == at);
    board.until("the middle of the image", |inside| inside.heard.iter().any(is_there)).await;
}

async fn until_confirmed(run: &Run, board: &FakeBoard, seed: u8) {
    until_told(run, "firmware 0.2.0 confirmed").await;
    board.inside(|inside| {
        assert_eq!((inside.hello.firmware, inside.hello.image), ([0, 2, 0], ImageState::Confirmed));
        assert!(inside.loader.verified.last().unwrap().1 == image(seed), "byte by byte");
    });
}

#[tokio::test]
async fn an_image_from_the_hub_is_sent_unless_the_configuration_names_another() {
    let node = Node::new();
    fetched(&node, 4);
    let board = with_loader();
    let _plug = board.plug(&node.port());
    let mut run = node.start().await;
    until_confirmed(&run, &board, 4).await;
    let settled = |status: &BoardStatus| status.board.as_ref().is_some_and(|line| line.is_settled());
    run.until_status("the image to be settled", settled).await;
    drop(run);

    let node = Node::new();
    fetched(&node, 5);
    place(&node, 6);
    let board = with_loader();
    let _plug = board.plug(&node.port());
    let run = node.start().await;
    until_confirmed(&run, &board, 6).await;
}

#[tokio::test]
async fn a_board_that_will_never_take_an_image_says_so_in_its_status() {
    let node = Node::new();
    fetched(&node, 7);
    let board = FakeBoard::new(1);
    board.inside(|inside| inside.hello.image = ImageState::NoLoader);
    let _plug = board.plug(&node.port());
    let mut run = node.start().await;
    run.until_status("the refusal", |status| status.update_refused).await;
    assert_eq!(begins(&board), 0);
}

#[tokio::test]
async fn an_image_arrives_whole_over_lost_answers_and_lost_pieces_and_presses_go_first() {
    let node = Node::new();
    place(&node, 1);
    let board = with_loader();
    board.inside(|inside| (inside.loader.loses, inside.loader.stops_at) = (1, Some(8_192)));
    let _plug = board.plug(&node.port());
    let mut run = node.start().await;
    until_stopped(&board, 8_192).await;
    run.until_status("progress", |status| status.update.as_deref() == Some("0.2.0 is sent, 40 %")).await;
    let pressed = node.clock.now();
    board.press(0, 2, 0);
    board.until_acknowledged().await;
    let waited = node.clock.now().since(pressed);
    println!("acknowledged in {waited:?} while a piece is unanswered");
    assert!(waited < Duration::from_secs(2), "a person at the button wonders");
    // It lost what it had from there on.
    board.inside(|inside| {
        inside.loader.receiving.as_mut().unwrap().1.truncate(4_096);
        (inside.loader.loses, inside.loader.stops_at) = (1, None);
    });
    let mut presses = 0;
    while board.inside(|inside| inside.loader.receiving.is_some()) && presses < 10 {
        board.press(0, 1, 0);
        presses += 1;
        board.until_acknowledged().await;
    }
    until_confirmed(&run, &board, 1).await;
    assert_eq!(begins(&board), 2, "the answer to the first was lost");
    until_told(&run, "firmware 0.1.0 -> 0.2.0 installed, on trial").await;
    board.press(0, 1, 0);
    board.until_acknowledged().await;
    assert_eq!(run.counted("ktp").await.0, 3 + presses);
    run.until_status("the image", |status| status.update.as_deref() == Some("0.2.0 runs")).await;
    run.stop().await;
}

#[tokio::test]
async fn a_refused_image_is_told_and_left_alone() {
    let node = Node::new();
    place(&node, 1);
    let board = with_loader();
    board.inside(|inside| inside.loader.refuses = Some(UpdateRefusal::FlashFailed));
    let _plug = board.plug(&node.port());
    let mut run = node.start().await;
    until_told(&run, "firmware 0.2.0: update refused: the flash could not be written").await;
    run.until_status("the pause", |status| status.update.as_ref().is_some_and(|it| it.contains("again in 60 min")))
        .await;
    board.press(0, 1, 0);
    board.until_acknowledged().await;
    assert_eq!((run.counted("ktp").await.0, begins(&board)), (1, 1));
    run.stop().await;
}

#[tokio::test]
async fn an_update_that_a_restart_of_board_or_agent_breaks_off_begins_again() {
    let node = Node::new();
    place(&node, 1);
    let board = with_loader();
    board.inside(|inside| inside.loader.stops_at = Some(8_192));
    let _plug = board.plug(&node.port());
    let run = node.start().await;
    until_stopped(&board, 8_192).await;
    board.restart();
    board
        .until("the second begin", |inside| inside.loader.receiving.as_ref().is_some_and(|it| it.1.len() == 8_192))
        .await;
    assert_eq!(begins(&board), 2);
    run.kill().await;
    board.inside(|inside| inside.loader.stops_at = None);
    let run = node.start().await;
    until_confirmed(&run, &board, 1).await;
    assert_eq!(begins(&board), 3);
    run.stop().await;
}

#[tokio::test]
async fn an_image_that_the_board_gave_back_is_not_sent_again_but_another_one_of_its_version_is() {
    let node = Node::new();
    place(&node, 1);
    let board = with_loader();
    board.inside(|inside| inside.loader.hangs = true);
    let _plug = board.plug(&node.port());
    let mut run = node.start().await;
    let gives_up = |status: &BoardStatus| status.update.as_ref().is_some_and(|it| it.contains("not tried again"));
    until_told(&run, "the board went back to 0.1.0: 0.2.0 did not confirm itself").await;
    run.until_status("that it gives up", gives_up).await;
    run.stop().await;
    let mut run = node.start().await;
    let status = run.until_status("that it gives up after a restart", gives_up).await;
    assert_eq!(status.board.unwrap().given_back.unwrap(), format!("{:08x}", crc32(&image(1))));
    assert_eq!(begins(&board), 1);
    run.stop().await;
    place(&node, 2);
    board.inside(|inside| inside.loader.hangs = false);
    let run = node.start().await;
    until_confirmed(&run, &board, 2).await;
    run.stop().await;
}

#[tokio::test]
async fn a_damaged_file_is_shown_and_the_board_counts_on() {
    let node = Node::new();
    std::fs::write(node.folder.path().join("pico.img"), b"SIMPULFW").unwrap();
    let board = with_loader();
    let _plug = board.plug(&node.port());
    let mut run = node.start().await;
    let shown = run.until_status("the file", |status| status.update.is_some() && status.board.is_some()).await;
    assert!(shown.update.unwrap().ends_with("pico.img: no image of a board (.img of the firmware's build)"));
    board.press(0, 1, 0);
    board.until_acknowledged().await;
    assert_eq!((run.counted("ktp").await.0, begins(&board)), (1, 0));
    run.stop().await;
}
