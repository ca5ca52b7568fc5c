//! `simpul label`: labels for the nodes' cases, as an A4 sheet of 3 x 8 (PDF) or one picture (PNG).
//!
//! A label has the village, the node's id, the end of the hardware's serial if it is known, and a QR code with
//! `SIMPUL:1:<node>[:<serial>]`; with the node's bundle at hand and `[phone]` in its configuration, the code is the link to
//! the node's phone page with that behind its `#` ([`link`]). The sheet fits the common 70 x 37 mm sticker sheets (24 on a page); `--skip` leaves the
//! stickers out that are gone already. Both are drawn from the same [`Face`].

mod glyphs;
pub mod link;
mod picture;
mod sheet;

use std::fs;
use std::path::{Path, PathBuf};

use qrcode::{EcLevel, QrCode};
use simpul_words::{Label, Language, Words};

use self::link::Link;
use crate::exit::Exit;
use crate::list::problem::Problem;
use crate::list::{self, Node};

/// A label's size: a third of A4's width, an eighth of its height.
pub const WIDTH_MM: f32 = 70.0;
/// See [`WIDTH_MM`].
pub const HEIGHT_MM: f32 = 37.125;
/// Stickers on a sheet.
pub const COLUMNS: usize = 3;
/// See [`COLUMNS`].
pub const ROWS: usize = 8;

/// What was asked for.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// A list of nodes.
    pub list: Option<PathBuf>,
    /// A single node: its id, village and serial.
    pub single: Option<(String, String, Option<String>)>,
    /// The single node's bundle.
    pub bundle: Option<PathBuf>,
    /// Codes that there are.
    pub known: Option<PathBuf>,
    /// Stickers of the first sheet that are used already.
    pub skip: usize,
    /// The `.pdf` or `.png`.
    pub to: PathBuf,
}

/// A label's content.
#[derive(Debug, Clone)]
pub struct Face {
    /// The village, in one or two lines.
    pub village: Vec<String>,
    /// The node's id.
    pub node: String,
    /// The line with the serial.
    pub serial: Option<String>,
    /// The QR code's modules, row by row; true is dark.
    pub modules: Vec<bool>,
    /// Modules in a row.
    pub modules_wide: usize,
}

impl Face {
    /// The face of `node`'s label.
    pub fn of(node: &Node, link: Option<&Link>, language: Language) -> Result<Self, Problem> {
        let serial = node.serial.as_ref().map(|serial| format!(":{serial}")).unwrap_or_default();
        let plain = format!("SIMPUL:1:{}{serial}", node.node);
        let content = link.map_or_else(|| plain.clone(), |link| link.text(&plain));
        // Level M: 15 % of it may be scratched away, which a label in a cabinet will be.
        let code = QrCode::with_error_correction_level(content, EcLevel::M)
            .map_err(|_| Problem::TooMuchForQr { node: node.node.clone() })?;
        Ok(Face {
            village: in_lines(&node.village),
            node: node.node.clone(),
            serial: node.short_serial().map(|serial| Label::Serial { serial: &serial }.text(language)),
            modules_wide: code.width(),
            modules: code.to_colors().into_iter().map(|color| color == qrcode::Color::Dark).collect(),
        })
    }
}

/// A long name in two lines of about the same length, broken at a space.
fn in_lines(name: &str) -> Vec<String> {
    // As many letters as stand in one line at the full size.
    const ONE_LINE_LETTERS: usize = 14;
    let letters = name.chars().count();
    let middle = |at: &usize| at.abs_diff(name.len() / 2);
    match name.match_indices(' ').map(|(at, _)| at).min_by_key(middle) {
        Some(at) if letters > ONE_LINE_LETTERS => vec![name[..at].to_owned(), name[at + 1..].to_owned()],
        _ => vec![name.to_owned()],
    }
}

/// Run `simpul label`.
pub fn run(request: &Request, language: Language) -> Result<(), Exit> {
    let nodes = match (&request.list, &request.single) {
        (Some(file), _) => list::read(file, request.known.as_deref())?,
        (None, Some((node, village, serial))) => vec![Node::new(node, village, serial.as_deref(), 1)?],
        (None, None) => return Err(Exit::Usage),
    };
    let bundles: Vec<Option<PathBuf>> = match &request.list {
        Some(file) => {
            nodes.iter().map(|node| list::bundle_of(file, node)).map(|it| it.exists().then_some(it)).collect()
        }
        None => vec![request.bundle.clone()],
    };
    let links = links(&nodes, &bundles)?;
    let pages = make(&nodes, &links, request.skip, &request.to, language)?;
    let path = request.to.display();
    println!(
        "{}",
        match pages {
            Some(pages) => {
                let (labels, pages) = (language.integer(nodes.len() as u64), language.integer(pages as u64));
                Label::Made { path: &path, labels: &labels, pages: &pages }.text(language)
            }
            None => Label::MadePicture { path: &path }.text(language),
        }
    );
    Ok(())
}

/// Each node's link, where it has a bundle.
pub fn links(nodes: &[Node], bundles: &[Option<PathBuf>]) -> Result<Vec<Option<Link>>, Exit> {
    let of = |(node, bundle): (&Node, &Option<PathBuf>)| match bundle {
        Some(path) => Link::of_file(path, node),
        None => Ok(None),
    };
    nodes.iter().zip(bundles).map(of).collect()
}

/// Make the sheet or picture at `to`; how many pages, for a sheet.
pub fn make(
    nodes: &[Node],
    links: &[Option<Link>],
    skip: usize,
    to: &Path,
    language: Language,
) -> Result<Option<usize>, Problem> {
    let path = to.display().to_string();
    let of = |(node, link): (&Node, &Option<Link>)| Face::of(node, link.as_ref(), language);
    let faces = nodes.iter().zip(links).map(of).collect::<Result<Vec<_>, _>>()?;
    let extension = to.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
    let (bytes, pages) = match (extension.as_deref(), &faces[..]) {
        (Some("pdf"), _) => {
            let (bytes, pages) = sheet::draw(&faces, skip % (COLUMNS * ROWS));
            (bytes, Some(pages))
        }
        (Some("png"), [face]) => {
            (picture::draw(face).map_err(|error| Problem::Unwritable { path: path.clone(), error })?, None)
        }
        (Some("png"), _) => return Err(Problem::OneLabelOnly { path }),
        _ => return Err(Problem::UnknownKind { path }),
    };
    fs::write(to, bytes).map_err(|error| Problem::Unwritable { path, error })?;
    Ok(pages)
}
