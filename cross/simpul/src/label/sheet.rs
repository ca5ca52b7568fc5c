//! Labels as a PDF: A4, 3 x 8, in the fonts that every PDF reader has (nothing embedded, some 3 kB a page).

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use pdf_writer::{Content, Filter, Finish, Name, Pdf, Rect, Ref, Str};

use super::glyphs::{fit, width};
use super::{COLUMNS, Face, HEIGHT_MM, ROWS, WIDTH_MM};

const PAGE_WIDTH_MM: f32 = 210.0;
const PAGE_HEIGHT_MM: f32 = 297.0;
const POINTS_PER_MM: f32 = 72.0 / 25.4;
const BOLD: Name<'static> = Name(b"B");
const MONO: Name<'static> = Name(b"M");
/// Printers leave some 4 mm at the page's edge; and a sticker is never met to the millimetre.
const MARGIN_MM: f32 = 5.0;
const QR_MM: f32 = 25.0;
/// Courier's letters are all this wide, in parts of its size.
const MONO_WIDTH: f32 = 0.6;

/// The PDF's bytes and its pages; the first `skip` stickers stay empty.
pub fn draw(faces: &[Face], skip: usize) -> (Vec<u8>, usize) {
    let mut pdf = Pdf::new();
    let (catalog, tree, bold, mono) = (Ref::new(1), Ref::new(2), Ref::new(3), Ref::new(4));
    let places: Vec<(usize, &Face)> = (skip..).zip(faces).collect();
    let pages: Vec<_> =
        places.chunk_by(|left, right| left.0 / (COLUMNS * ROWS) == right.0 / (COLUMNS * ROWS)).collect();
    let page_id = |index: usize| Ref::new(5 + 2 * index as i32);
    let content_id = |index: usize| Ref::new(6 + 2 * index as i32);
    pdf.catalog(catalog).pages(tree);
    pdf.pages(tree).kids((0..pages.len()).map(page_id)).count(pages.len() as i32);
    pdf.type1_font(bold).base_font(Name(b"Helvetica-Bold")).encoding_predefined(Name(b"WinAnsiEncoding"));
    pdf.type1_font(mono).base_font(Name(b"Courier-Bold")).encoding_predefined(Name(b"WinAnsiEncoding"));
    for (index, labels) in pages.iter().enumerate() {
        let mut page = pdf.page(page_id(index));
        page.media_box(Rect::new(0.0, 0.0, PAGE_WIDTH_MM * POINTS_PER_MM, PAGE_HEIGHT_MM * POINTS_PER_MM));
        page.parent(tree).contents(content_id(index));
        page.resources().fonts().pair(BOLD, bold).pair(MONO, mono);
        page.finish();
        let mut content = Content::new();
        for (place, face) in *labels {
            let on_page = place % (COLUMNS * ROWS);
            let left = (on_page % COLUMNS) as f32 * WIDTH_MM;
            let top = PAGE_HEIGHT_MM - (on_page / COLUMNS) as f32 * HEIGHT_MM;
            label(&mut content, face, left, top);
        }
        // Made of a few repeated words: a tenth of the size.
        let mut packed = ZlibEncoder::new(Vec::new(), Compression::default());
        let packed = packed.write_all(&content.finish()).and_then(|()| packed.finish()).unwrap_or_default();
        pdf.stream(content_id(index), &packed).filter(Filter::FlateDecode);
    }
    (pdf.finish(), pages.len())
}

fn label(content: &mut Content, face: &Face, left_mm: f32, top_mm: f32) {
    let middle = top_mm - HEIGHT_MM / 2.0;
    qr(content, face, left_mm + MARGIN_MM, middle + QR_MM / 2.0);
    let x = left_mm + MARGIN_MM + QR_MM + 3.0;
    let room = WIDTH_MM - MARGIN_MM - QR_MM - 3.0 - MARGIN_MM;
    let lines = face.village.len() as f32;
    let size = face.village.iter().map(|line| fit(line, room, 5.2)).fold(5.2, f32::min);
    let node_size = (room / MONO_WIDTH / face.node.len() as f32).min(3.7);
    // The block of text is centred beside the code.
    let height = lines * size * 1.1 + 2.0 + node_size + if face.serial.is_some() { 4.4 } else { 0.0 };
    let mut y = middle + height / 2.0 - size * 0.75;
    for line in &face.village {
        text(content, BOLD, size, x, y, line);
        y -= size * 1.1;
    }
    y -= 2.0 - (size - node_size) * 0.3;
    text(content, MONO, node_size, x, y, &face.node);
    if let Some(serial) = &face.serial {
        let size = fit(serial, room, 2.8);
        debug_assert!(width(serial, size) <= room + 0.01);
        text(content, BOLD, size, x, y - 4.4, serial);
    }
}

fn qr(content: &mut Content, face: &Face, left_mm: f32, top_mm: f32) {
    let module = QR_MM * POINTS_PER_MM / face.modules_wide as f32;
    for (row, modules) in face.modules.chunks(face.modules_wide).enumerate() {
        let y = top_mm * POINTS_PER_MM - (row + 1) as f32 * module;
        let mut at = 0;
        // One rectangle a run: seams between modules show on some printers.
        for run in modules.chunk_by(|left, right| left == right) {
            if run[0] {
                let x = left_mm * POINTS_PER_MM + at as f32 * module;
                content.rect(x, y, run.len() as f32 * module, module + 0.02);
            }
            at += run.len();
        }
    }
    content.fill_nonzero();
}

fn text(content: &mut Content, font: Name<'_>, size_mm: f32, x_mm: f32, y_mm: f32, text: &str) {
    // WinAnsi is Latin-1 as far as names go; what it lacks is a question mark on paper.
    let bytes: Vec<u8> = text.chars().map(|letter| u8::try_from(u32::from(letter)).unwrap_or(b'?')).collect();
    content.begin_text();
    content.set_font(font, size_mm * POINTS_PER_MM);
    content.next_line(x_mm * POINTS_PER_MM, y_mm * POINTS_PER_MM);
    content.show(Str(&bytes));
    content.end_text();
}
