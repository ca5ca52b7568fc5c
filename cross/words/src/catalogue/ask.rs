//! Questions with one key as their answer.

crate::macros::catalogue! {
    /// Questions, and what is said when there is no answer.
    Ask {
        GoOn
            id "Lanjutkan? Tekan y untuk ya, tombol lain untuk batal."
            en "Go on? Press y for yes, any other key to stop.";
        NextCard { node, village, left }
            id "Berikutnya {node} ({village}), tersisa {left}. Masukkan kartu kosong, lalu: y tulis, s lewati, tombol lain berhenti."
            en "Next is {node} ({village}), {left} left. Insert an empty card, then: y writes, s skips, any other key stops.";
        Stopped
            id "Dibatalkan. Tidak ada yang ditulis."
            en "Stopped. Nothing was written.";
        NoTerminal
            id "Perlu jawaban, tetapi tidak ada terminal. Tambahkan --yes jika memang ini yang dimaksud."
            en "An answer is needed, but there is no terminal. Add --yes if this is what is meant.";
    }
}
