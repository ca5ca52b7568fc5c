//! What is said about node bundles.

crate::macros::catalogue! {
    /// The words of `simpul bundle`, and of every command that takes one.
    Bundle {
        Unreadable { name, error }
            id "{name} tidak dapat dibaca: {error}. Periksa nama dan izinnya."
            en "{name} cannot be read: {error}. Check its name and permissions.";
        NotABundle { path }
            id "{path} bukan bundel simpul: tidak ada bundle.toml di dalamnya. Beri folder atau berkas .tar dari `simpul bundle make`."
            en "{path} is no node bundle: it has no bundle.toml. Name a folder or .tar made by `simpul bundle make`.";
        Manifest { what }
            id "bundle.toml tidak benar: {what}. Buat ulang bundelnya."
            en "bundle.toml is not right: {what}. Make the bundle again.";
        NewerFormat { format }
            id "Bundel ini berformat {format}, lebih baru dari program ini. Perbarui `simpul`."
            en "This bundle has format {format}, newer than this program. Update `simpul`.";
        FileMissing { name }
            id "Bundel tidak lengkap: {name} tidak ada. Salin ulang bundelnya."
            en "The bundle is not complete: {name} is missing. Copy it again.";
        FileTooLarge { name, limit }
            id "{name} lebih besar dari {limit}, jadi bukan yang dimaksud. Periksa berkasnya."
            en "{name} is larger than {limit}, so it is not what is meant. Check the file.";
        FileDiffers { name }
            id "{name} tidak cocok dengan bundle.toml: rusak saat disalin, atau diubah. Buat atau salin ulang bundelnya."
            en "{name} does not match bundle.toml: damaged in copying, or changed. Make or copy the bundle again.";
        NotAToken { name }
            id "{name} bukan kunci pendaftaran: seharusnya satu baris yang diawali simpul1. Minta yang baru dari ruang kendali."
            en "{name} is no enrolment token: it should be one line that begins with simpul1. Ask the hub's operators for a new one.";
        NotAnIdentity { name }
            id "{name} bukan identitas simpul, atau rusak. Minta lagi: simpul bundle ahead"
            en "{name} is no node's identity, or is damaged. Ask for it again: simpul bundle ahead";
        OthersIdentity { name, node }
            id "{name} adalah identitas simpul lain ({node}). Ambil milik simpul ini."
            en "{name} is the identity of another node ({node}). Take this node's own.";
        NotAnAgent { name }
            id "{name} bukan agen: seharusnya paket .deb atau program Linux simpul-agent."
            en "{name} is no agent: it should be a .deb package or the Linux program simpul-agent.";
        NotASecret { name }
            id "{name} bukan kata sandi: seharusnya satu baris teks, seperti yang dibaca agen."
            en "{name} is no password: it should be one line of text, as the agent reads it.";
        NotAConfig { name, what }
            id "{name} bukan konfigurasi agen: {what}. Periksa dengan `simpul-agent config check`."
            en "{name} is no configuration of the agent: {what}. Check it with `simpul-agent config check`.";
        Unwritable { path, error }
            id "{path} tidak dapat ditulis: {error}. Pilih tempat lain dengan --to."
            en "{path} cannot be written: {error}. Choose another place with --to.";
        AlreadyThere { path }
            id "{path} sudah ada dan tidak diubah. Pilih nama lain dengan --to, atau hapus dulu."
            en "{path} is there already and was not changed. Choose another name with --to, or delete it first.";
        Whole { node, village, agent, bytes, machine }
            id "Bundel untuk {node} ({village}) utuh: agen {agent}, {bytes}, untuk {machine}."
            en "The bundle for {node} ({village}) is whole: agent {agent}, {bytes}, for {machine}.";
        MachineUnknown
            id "mesin tidak dikenal"
            en "an unknown machine";
    }
}
