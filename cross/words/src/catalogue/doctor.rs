//! What stands around the findings of an examination.

crate::macros::catalogue! {
    /// What stands around the findings of an examination.
    Doctor {
        Ok id "BAIK" en "OK";
        Warn id "PERHATIAN" en "WARNING";
        Fail id "GAGAL" en "FAILED";
        Unknown id "TIDAK DIKETAHUI" en "UNKNOWN";
        Absent id "TIDAK ADA" en "NOT THERE";
        Why { text } id "Sebab: {text}" en "Why: {text}";
        Act { text } id "Tindakan: {text}" en "Do: {text}";
        Follows { what } id "Mungkin akibat dari: {what}" en "Probably follows from: {what}";
        Stranger { code, id, values } id "Temuan {code} ({id}), yang belum dikenal program ini. {values}" en "Finding {code} ({id}), which this program does not know yet. {values}";
        StrangerAct id "Perbarui program ini untuk membaca penjelasannya." en "Update this program to read its explanation.";
        Node { node, version, took } id "Simpul {node}, agen {version}, diperiksa dalam {took}." en "Node {node}, agent {version}, examined in {took}.";
        AllWell id "Semua yang diperiksa baik." en "All that was examined is well.";
        Counts { fail, warn, unknown } id "Gagal: {fail}. Perhatian: {warn}. Tidak diketahui: {unknown}." en "Failed: {fail}. Warnings: {warn}. Unknown: {unknown}.";
        Omitted { n } id "Temuan lain yang tidak muat: {n}." en "Findings that did not fit: {n}.";
        Moment { day, time } id "{day} {time} UTC" en "{day} {time} UTC";
        Volts { n } id "{n} V" en "{n} V";
    }
}
