//! What is said while a node comes up, and when it is handed over.

crate::macros::catalogue! {
    /// The words of `simpul watch` and of its hand-over protocol.
    Watch {
        LastHeard { at }
            id "Terakhir terdengar oleh pusat: {at}."
            en "Last heard by the hub: {at}.";
        NeverHeard
            id "Pusat belum pernah mendengar simpul ini."
            en "The hub has never heard this node.";
        RefusedAt { at, text }
            id "Pendaftarannya ditolak {at}: {text}"
            en "Its enrolment was refused {at}: {text}";
        NoAgent { agent, error }
            id "{agent} tidak dapat dijalankan: {error}. Jalankan ini di simpulnya, atau sebut programnya dengan --agent; dari laptop: simpul doctor NODE"
            en "{agent} cannot be run: {error}. Run this on the node, or name its program with --agent; from a laptop: simpul doctor NODE";
    }
}
