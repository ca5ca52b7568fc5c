//! What is said about lists of nodes, labels, and a box of nodes in a row.

crate::macros::catalogue! {
    /// The words of `simpul label` and `simpul batch`.
    Label {
        Unreadable { file, error }
            id "{file} tidak dapat dibaca: {error}. Periksa namanya."
            en "{file} cannot be read: {error}. Check its name.";
        NotACsv { file, line, what }
            id "{file} baris {line} bukan CSV yang benar: {what}."
            en "{file} line {line} is no proper CSV: {what}.";
        NoColumn { file, column }
            id "{file} tidak punya kolom {column}. Baris pertama harus berisi: node,village,serial"
            en "{file} has no column {column}. The first line has to be: node,village,serial";
        Empty { file }
            id "{file} tidak berisi satu simpul pun."
            en "{file} holds not a single node.";
        TooLong { file, limit }
            id "{file} berisi lebih dari {limit} simpul. Bagi menjadi beberapa berkas."
            en "{file} holds more than {limit} nodes. Split it into several files.";
        BadNode { line, node }
            id "Baris {line}: {node} bukan id simpul. Yang benar seperti 35.12.07.2003-01: huruf, angka, titik, garis."
            en "Line {line}: {node} is no node id. A proper one is like 35.12.07.2003-01: letters, digits, dots, dashes.";
        BadVillage { line }
            id "Baris {line}: nama desa kosong atau terlalu panjang (paling banyak 60 huruf)."
            en "Line {line}: the village's name is empty or too long (60 letters at most).";
        BadSerial { line, serial }
            id "Baris {line}: nomor seri {serial} hanya boleh huruf, angka, dan garis (paling banyak 32)."
            en "Line {line}: the serial {serial} may have letters, digits and dashes only (32 at most).";
        Twice { node, line, first }
            id "Baris {line}: {node} sudah ada di baris {first}. Satu id hanya untuk satu simpul; tidak ada yang ditulis."
            en "Line {line}: {node} is in line {first} already. An id is for one node only; nothing was written.";
        Unknown { node, line }
            id "Baris {line}: {node} tidak ada di daftar yang dikenal. Periksa kodenya; tidak ada yang ditulis."
            en "Line {line}: {node} is not in the list of known ones. Check its code; nothing was written.";
        UnknownNear { node, line, nearest }
            id "Baris {line}: {node} tidak ada di daftar yang dikenal. Mungkin maksudnya {nearest}? Tidak ada yang ditulis."
            en "Line {line}: {node} is not in the list of known ones. Is {nearest} meant? Nothing was written.";
        Unwritable { path, error }
            id "{path} tidak dapat ditulis: {error}."
            en "{path} cannot be written: {error}.";
        OneLabelOnly { path }
            id "{path}: gambar PNG hanya untuk satu simpul. Untuk banyak simpul pakai .pdf."
            en "{path}: a PNG picture is for one node only. For many use .pdf.";
        UnknownKind { path }
            id "{path}: akhiri nama dengan .pdf (lembar A4) atau .png (satu label)."
            en "{path}: end the name with .pdf (an A4 sheet) or .png (one label).";
        TooMuchForQr { node }
            id "{node}: terlalu panjang untuk kode QR."
            en "{node}: too long for a QR code.";
        OtherNode { path, wanted, found }
            id "Bundel {path} untuk {found}, bukan {wanted}. Periksa daftar dan bundelnya."
            en "The bundle {path} is for {found}, not for {wanted}. Check the list and the bundle.";
        StateDamaged { path }
            id "Catatan {path} rusak atau bukan untuk daftar ini. Pindahkan, lalu mulai lagi."
            en "The record {path} is damaged or not of this list. Move it away, then begin again.";
        Serial { serial }
            id "Seri {serial}"
            en "Serial {serial}";
        Made { path, labels, pages }
            id "{path}: label {labels}, halaman A4 {pages}. Cetak 100%, tanpa penyesuaian ukuran."
            en "{path}: labels {labels}, A4 pages {pages}. Print at 100%, without fitting to the page.";
        MadePicture { path }
            id "{path}: satu label, 70 x 37 mm pada 300 dpi."
            en "{path}: one label, 70 x 37 mm at 300 dpi.";
        Resumed { done, total }
            id "Melanjutkan: {done} dari {total} sudah selesai."
            en "Going on: {done} of {total} are done.";
        InterruptedBefore { node }
            id "{node} terputus waktu itu: kartunya belum jadi, jadi ditulis lagi."
            en "{node} was interrupted then: its card is not finished, so it is written again.";
        BatchDone { done, skipped, left, report }
            id "Selesai {done}, dilewati {skipped}, tersisa {left}. Laporan: {report}"
            en "Done {done}, skipped {skipped}, left {left}. Report: {report}";
        CardFailed { node }
            id "Kartu untuk {node} gagal. Ganti kartu atau coba lagi."
            en "The card for {node} failed. Replace it or try again.";
    }
}
