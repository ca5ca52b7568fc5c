//! The hand-over protocol (Berita Acara Serah Terima) as a PDF of one page: what was accepted, where, by whom, with the
//! pictures that were seen, and two places to sign. In the fonts that every reader has; the JPEGs go in as they are.

use pdf_writer::{Content, Filter, Finish, Name, Pdf, Rect, Ref, Str};
use simpul_wire::technician::{Acceptance, AcceptanceKept};
use simpul_words::findings::say_verdict;
use simpul_words::{Language, Watch, Words};

const WIDTH: f32 = 595.0;
const HEIGHT: f32 = 842.0;
const MARGIN: f32 = 56.0;
const PLAIN: Name<'static> = Name(b"P");
const BOLD: Name<'static> = Name(b"B");
/// The column of values.
const VALUES: f32 = 210.0;
/// A line's height.
const LINE: f32 = 16.0;
/// Pictures on the page: two rows of two.
const PICTURES_MAX: usize = 4;
const PICTURE_WIDE: f32 = 230.0;
const PICTURE_HIGH: f32 = 130.0;
/// Letters in a line of values, in Helvetica at 10 points: what is longer is broken.
const LETTERS_MAX: usize = 58;

/// What is printed.
pub struct Protocol<'a> {
    /// What was accepted.
    pub acceptance: &'a Acceptance,
    /// Under which number the hub keeps it.
    pub kept: &'a AcceptanceKept,
    /// SHA-256 of the record, hexadecimal.
    pub sha256: &'a str,
    /// Camera, width, height, JPEG.
    pub pictures: &'a [(String, u16, u16, Vec<u8>)],
    /// The district's UTC offset.
    pub utc_offset_minutes: i32,
}

/// A moment of the district's own time, with its zone's name.
pub fn local(unix_ms: i64, utc_offset_minutes: i32, language: Language) -> String {
    let moment = language.moment(unix_ms.div_euclid(1_000).saturating_add(i64::from(utc_offset_minutes) * 60));
    let zone = match utc_offset_minutes {
        0 => "UTC".to_owned(),
        420 => "WIB".to_owned(),
        480 => "WITA".to_owned(),
        540 => "WIT".to_owned(),
        other => {
            let sign = if other < 0 { '-' } else { '+' };
            format!("UTC{sign}{:02}:{:02}", other.abs() / 60, other.abs() % 60)
        }
    };
    moment.replace("UTC", &zone)
}

/// The PDF's bytes.
pub fn draw(protocol: &Protocol<'_>, language: Language) -> Vec<u8> {
    let mut pdf = Pdf::new();
    let (catalog, tree, page_id, plain, bold, content_id) =
        (Ref::new(1), Ref::new(2), Ref::new(3), Ref::new(4), Ref::new(5), Ref::new(6));
    let pictures: Vec<_> = protocol.pictures.iter().take(PICTURES_MAX).collect();
    let image_id = |index: usize| Ref::new(7 + index as i32);
    let names: Vec<String> = (0..pictures.len()).map(|index| format!("I{index}")).collect();
    pdf.catalog(catalog).pages(tree);
    pdf.pages(tree).kids([page_id]).count(1);
    pdf.type1_font(plain).base_font(Name(b"Helvetica")).encoding_predefined(Name(b"WinAnsiEncoding"));
    pdf.type1_font(bold).base_font(Name(b"Helvetica-Bold")).encoding_predefined(Name(b"WinAnsiEncoding"));
    let mut page = pdf.page(page_id);
    page.media_box(Rect::new(0.0, 0.0, WIDTH, HEIGHT)).parent(tree).contents(content_id);
    let mut resources = page.resources();
    resources.fonts().pair(PLAIN, plain).pair(BOLD, bold);
    let mut objects = resources.x_objects();
    for (index, name) in names.iter().enumerate() {
        objects.pair(Name(name.as_bytes()), image_id(index));
    }
    objects.finish();
    resources.finish();
    page.finish();
    for (index, (_, wide, high, jpeg)) in pictures.iter().enumerate() {
        let mut image = pdf.image_xobject(image_id(index), jpeg);
        image.filter(Filter::DctDecode);
        image.width(i32::from(*wide)).height(i32::from(*high)).bits_per_component(8);
        if is_grey(jpeg) {
            image.color_space().device_gray();
        } else {
            image.color_space().device_rgb();
        }
    }
    let content = write(protocol, &names, &pictures, language);
    pdf.stream(content_id, &content.finish());
    pdf.finish()
}

/// Whether a JPEG has one component: it stands in its frame header (ITU-T T.81, B.2.2).
fn is_grey(jpeg: &[u8]) -> bool {
    let mut at = 2;
    while let Some(&[0xff, marker, high, low]) = jpeg.get(at..at + 4).and_then(|head| head.first_chunk::<4>()) {
        if matches!(marker, 0xc0..=0xc3) {
            return jpeg.get(at + 9) == Some(&1);
        }
        at += 2 + usize::from(u16::from_be_bytes([high, low]));
    }
    false
}

type Picture = (String, u16, u16, Vec<u8>);

fn write(protocol: &Protocol<'_>, names: &[String], pictures: &[&Picture], language: Language) -> Content {
    let Acceptance { laptop, hardware, board, .. } = protocol.acceptance;
    let said = protocol.acceptance;
    let mut content = Content::new();
    let mut y = HEIGHT - MARGIN;
    text(&mut content, BOLD, 16.0, MARGIN, y, &Watch::BastTitle.text(language));
    y -= LINE * 1.3;
    let at = local(protocol.kept.at_ms, protocol.utc_offset_minutes, language);
    text(
        &mut content,
        PLAIN,
        10.0,
        MARGIN,
        y,
        &Watch::BastNumber { number: &protocol.kept.number, at: &at }.text(language),
    );
    y -= LINE * 1.8;
    let unknown = "-".to_owned();
    let place = format!("{} ({})", said.village, said.village_code);
    let moment = |ms: i64| local(ms, protocol.utc_offset_minutes, language);
    let rows = [
        (Watch::BastNode.text(language), said.node.to_string()),
        (Watch::BastPlace.text(language), said.name.to_string()),
        (Watch::BastVillage.text(language), place),
        (Watch::BastHardware.text(language), hardware.as_ref().map_or(unknown.clone(), ToString::to_string)),
        (Watch::BastBoard.text(language), board.as_ref().map_or(unknown.clone(), ToString::to_string)),
        (Watch::BastVersion.text(language), said.version.to_string()),
        (Watch::BastFirstHeard.text(language), moment(said.first_heard_ms)),
        (Watch::BastReading.text(language), moment(said.reading_ms)),
        (
            Watch::BastExamined.text(language),
            format!("{}, {}", say_verdict(said.verdict, language), moment(said.examined_ms)),
        ),
        (Watch::BastTechnician.text(language), laptop.to_string()),
        (Watch::BastNote.text(language), if said.note.is_empty() { unknown } else { said.note.to_string() }),
    ];
    for (name, value) in rows {
        text(&mut content, PLAIN, 10.0, MARGIN, y, &name);
        for line in lines(&value) {
            text(&mut content, BOLD, 10.0, VALUES, y, &line);
            y -= LINE;
        }
    }
    y -= LINE * 0.4;
    for (index, (name, (camera, wide, high, _))) in names.iter().zip(pictures).enumerate() {
        let left = MARGIN + (index % 2) as f32 * (PICTURE_WIDE + 20.0);
        let top = y - (index / 2) as f32 * (PICTURE_HIGH + LINE * 1.4);
        let (wide, high) = (f32::from(*wide).max(1.0), f32::from(*high).max(1.0));
        let scale = (PICTURE_WIDE / wide).min(PICTURE_HIGH / high);
        content.save_state();
        content.transform([wide * scale, 0.0, 0.0, high * scale, left, top - high * scale]);
        content.x_object(Name(name.as_bytes()));
        content.restore_state();
        text(&mut content, PLAIN, 8.0, left, top - PICTURE_HIGH - 10.0, camera);
    }
    let foot = MARGIN + 118.0;
    text(&mut content, PLAIN, 10.0, MARGIN, foot + LINE * 1.6, &Watch::BastStatement.text(language));
    text(&mut content, PLAIN, 10.0, MARGIN, foot, &Watch::BastGives.text(language));
    text(&mut content, PLAIN, 10.0, MARGIN + 260.0, foot, &Watch::BastTakes.text(language));
    for left in [MARGIN, MARGIN + 260.0] {
        content.move_to(left, foot - 64.0).line_to(left + 190.0, foot - 64.0).stroke();
    }
    text(&mut content, PLAIN, 10.0, MARGIN, foot - 78.0, laptop.technician.as_str());
    text(&mut content, PLAIN, 10.0, MARGIN + 260.0, foot - 78.0, &Watch::BastName.text(language));
    let check = Watch::BastCheck { number: &protocol.kept.number, sha256: &protocol.sha256 }.text(language);
    for (index, line) in broken(&check, 110).iter().enumerate() {
        text(&mut content, PLAIN, 7.0, MARGIN, MARGIN - 4.0 - 9.0 * index as f32, line);
    }
    content
}

fn lines(value: &str) -> Vec<String> {
    broken(value, LETTERS_MAX)
}

/// Broken at spaces, or where there is none.
fn broken(value: &str, letters_max: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in value.split(' ') {
        let mut word = word;
        while let Some(last) = lines.last_mut() {
            let room = letters_max.saturating_sub(last.chars().count() + usize::from(!last.is_empty()));
            if word.chars().count() <= room {
                if !last.is_empty() {
                    last.push(' ');
                }
                last.push_str(word);
                break;
            }
            if last.is_empty() {
                let cut = word.char_indices().nth(letters_max).map_or(word.len(), |(at, _)| at);
                last.push_str(&word[..cut]);
                word = &word[cut..];
            }
            lines.push(String::new());
        }
    }
    lines
}

fn text(content: &mut Content, font: Name<'_>, size: f32, x: f32, y: f32, text: &str) {
    // WinAnsi is Latin-1 as far as names go; what it lacks is a question mark on paper.
    let bytes: Vec<u8> = text.chars().map(|letter| u8::try_from(u32::from(letter)).unwrap_or(b'?')).collect();
    content.begin_text();
    content.set_font(font, size);
    content.next_line(x, y);
    content.show(Str(&bytes));
    content.end_text();
}

#[cfg(test)]
mod tests {
    use simpul_wire::doctor::Verdict;

    use super::*;

    #[test]
    fn the_page_says_what_was_accepted_in_the_districts_own_time_and_holds_the_picture_as_it_is() {
        let acceptance = Acceptance {
            node: "35.12.07.2003-01".parse().unwrap(),
            name: "Kantor Desa Sumberanyar".parse().unwrap(),
            village_code: "35.12.07.2003".parse().unwrap(),
            village: "Sumberanyar".parse().unwrap(),
            hardware: Some("10000000abc".parse().unwrap()),
            board: None,
            version: "0.1.0".parse().unwrap(),
            first_heard_ms: 1_795_000_000_000,
            reading_ms: 1_795_000_060_000,
            pictures: Vec::new(),
            verdict: Verdict::Warn,
            examined_ms: 1_795_000_070_000,
            laptop: "budi/thinkpad".parse().unwrap(),
            made_ms: 1_795_000_080_000,
            note: "kunci pada Bu Sri ".repeat(8).trim().parse().unwrap(),
        };
        let jpeg = super::super::red_and_blue();
        let pictures = [("halaman".to_owned(), 16, 16, jpeg.clone())];
        let kept = AcceptanceKept { number: 12, at_ms: 1_795_000_081_000 };
        let protocol = Protocol {
            acceptance: &acceptance,
            kept: &kept,
            sha256: &"ab".repeat(32),
            pictures: &pictures,
            utc_offset_minutes: 420,
        };
        for (language, words) in [(Language::Indonesian, "BERITA ACARA SERAH TERIMA"), (Language::English, "HAND-OVER")]
        {
            let pdf = draw(&protocol, language);
            let holds = |part: &[u8]| pdf.windows(part.len()).any(|window| window == part);
            assert!(pdf.starts_with(b"%PDF-") && holds(words.as_bytes()) && holds(&jpeg));
            // 11:06:40 UTC.
            for part in ["2026-11-18 18:06 WIB", "10000000abc", "budi/thinkpad", "Sumberanyar"] {
                assert!(holds(part.as_bytes()), "{part}");
            }
        }
        assert!(!is_grey(&jpeg));
    }

    #[test]
    fn long_texts_are_broken_and_nothing_of_them_is_lost() {
        let text = "satu dua tiga ".repeat(20) + &"x".repeat(130);
        let lines = broken(text.trim(), 58);
        assert!(lines.iter().all(|line| line.chars().count() <= 58), "{lines:?}");
        assert_eq!(lines.concat().replace(' ', ""), text.replace(' ', ""));
        assert_eq!(broken("", 58), [""]);
    }
}
