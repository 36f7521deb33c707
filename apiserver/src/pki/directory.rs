//! What a master keeps in its `pki` folder, made on first use and renewed in time.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;

use super::ca::{ClusterCa, Issued, LEAF_LIFETIME, Profile};
use super::check::renewal;
use super::{PkiError, PkiResult, ServiceAccountKey, ServingCertificate};
use crate::encryption::RootKeys;

/// The file of the root keys.
const ENCRYPTION: &str = "encryption.key";

/// How a master is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MasterNames {
    /// The master's name.
    pub name: String,
    /// Host names and addresses of its API and peer listeners.
    pub addresses: Vec<String>,
}

/// All keys and certificates of one master.
pub struct MasterPki {
    /// The CA with its key.
    pub ca: ClusterCa,
    /// Signs service-account tokens.
    pub service_account: ServiceAccountKey,
    /// What wraps the keys that secrets are stored under.
    pub encryption: Arc<RootKeys>,
    /// What the API listener shows.
    pub serving: Arc<ServingCertificate>,
    /// For the peer listener, and as client to the other masters.
    peer: ArcSwap<Issued>,
}

impl MasterPki {
    /// Whether this folder already holds a cluster's keys.
    #[must_use]
    pub fn exists(dir: &Path) -> bool {
        dir.join("ca.key").exists()
    }

    /// The cluster's authority as a master's folder holds it; the master's own certificates are left alone.
    ///
    /// # Errors
    /// When a file cannot be read or parsed.
    pub fn authority(dir: &Path) -> PkiResult<ClusterCa> {
        ClusterCa::from_pem(read(&dir.join("ca.crt"))?, read(&dir.join("ca.key"))?)
    }

    /// Keys of a new cluster.
    ///
    /// # Errors
    /// When keys cannot be made or files not written.
    pub fn create(dir: &Path, names: &MasterNames) -> PkiResult<Self> {
        Self::create_for(dir, names, LEAF_LIFETIME)
    }

    /// The same, issuing certificates that are good for this long.
    ///
    /// # Errors
    /// As there.
    pub fn create_for(dir: &Path, names: &MasterNames, lifetime: Duration) -> PkiResult<Self> {
        let ca = ClusterCa::create()?.with_leaf_lifetime(lifetime);
        let service_account = ServiceAccountKey::create()?;
        Self::install(dir, names, ca, service_account, RootKeys::create())
    }

    /// Keys that a joining master got from the cluster.
    ///
    /// # Errors
    /// When they do not parse or files cannot be written.
    pub fn install(
        dir: &Path,
        names: &MasterNames,
        ca: ClusterCa,
        service_account: ServiceAccountKey,
        encryption: RootKeys,
    ) -> PkiResult<Self> {
        std::fs::create_dir_all(dir).map_err(|source| PkiError::Io { path: dir.into(), source })?;
        write(&dir.join("sa.key"), service_account.private_pem(), true)?;
        write(&dir.join("sa.pub"), service_account.public_pem(), false)?;
        write(&dir.join(ENCRYPTION), encryption.text(), true)?;
        write(&dir.join("ca.crt"), ca.cert_pem(), false)?;
        // Last: its presence says that the rest is there.
        write(&dir.join("ca.key"), ca.key_pem(), true)?;
        Self::load_with(dir, names, ca)
    }

    /// Reads the folder; certificates that are missing, near their end or for other addresses are made anew.
    ///
    /// # Errors
    /// When a file cannot be read, written, or parsed.
    pub fn load(dir: &Path, names: &MasterNames) -> PkiResult<Self> {
        Self::load_for(dir, names, LEAF_LIFETIME)
    }

    /// The same, issuing certificates that are good for this long.
    ///
    /// # Errors
    /// As there.
    pub fn load_for(dir: &Path, names: &MasterNames, lifetime: Duration) -> PkiResult<Self> {
        Self::load_with(dir, names, Self::authority(dir)?.with_leaf_lifetime(lifetime))
    }

    fn load_with(dir: &Path, names: &MasterNames, ca: ClusterCa) -> PkiResult<Self> {
        let service_account = ServiceAccountKey::from_pem(read(&dir.join("sa.key"))?)?;
        let encryption = RootKeys::parse(read(&dir.join(ENCRYPTION))?).map_err(|error| PkiError::Damaged {
            what: dir.join(ENCRYPTION).display().to_string(),
            why: error.to_string(),
        })?;
        let (serving, peer) = leaves(dir, &ca, names, Timestamp::now())?;
        let serving = Arc::new(ServingCertificate::new(&serving)?);
        Ok(Self { ca, service_account, encryption: Arc::new(encryption), serving, peer: ArcSwap::from_pointee(peer) })
    }

    /// The certificate for the other masters.
    #[must_use]
    pub fn peer(&self) -> Arc<Issued> {
        self.peer.load_full()
    }

    /// When the next of this master's certificates is to be replaced.
    ///
    /// # Errors
    /// When a file cannot be read or parsed.
    pub fn next_renewal(dir: &Path) -> PkiResult<Timestamp> {
        let due = |stem: &str| renewal(&read(&paths(dir, stem).0)?);
        Ok(due("serving")?.min(due("peer")?))
    }

    /// Makes certificates anew that are near their end at `now`, and shows them from now on. Says whether the one for
    /// the other masters changed.
    ///
    /// # Errors
    /// When a file cannot be read, written, or parsed; the present certificates stay.
    pub fn renew(&self, dir: &Path, names: &MasterNames, now: Timestamp) -> PkiResult<bool> {
        let (serving, peer) = leaves(dir, &self.ca, names, now)?;
        self.serving.set(&serving)?;
        let changed = peer.cert_pem != self.peer().cert_pem;
        self.peer.store(Arc::new(peer));
        Ok(changed)
    }

    /// The administrator's bearer token.
    #[must_use]
    pub fn admin_token(&self) -> String {
        self.ca.admin_token()
    }
}

/// The serving and the peer certificate, from the folder or made now.
fn leaves(dir: &Path, ca: &ClusterCa, names: &MasterNames, now: Timestamp) -> PkiResult<(Issued, Issued)> {
    let MasterNames { name, addresses } = names;
    let serving = Profile::Serving { master: name.clone(), addresses: addresses.clone() };
    let peer = Profile::Peer { master: name.clone(), addresses: addresses.clone() };
    let wanted = addresses.join("\n");
    Ok((current(dir, "serving", ca, &serving, &wanted, now)?, current(dir, "peer", ca, &peer, &wanted, now)?))
}

fn current(
    dir: &Path,
    stem: &str,
    ca: &ClusterCa,
    profile: &Profile,
    wanted: &str,
    now: Timestamp,
) -> PkiResult<Issued> {
    let (cert_path, key_path, names_path) = paths(dir, stem);
    if let (Ok(cert_pem), Ok(key_pem), Ok(names)) = (read(&cert_path), read(&key_path), read(&names_path))
        && names == wanted
        && now < renewal(&cert_pem)?
    {
        return Ok(Issued { cert_pem, key_pem });
    }
    let issued = ca.issue(profile)?;
    write(&key_path, &issued.key_pem, true)?;
    write(&cert_path, &issued.cert_pem, false)?;
    write(&names_path, wanted, false)?;
    Ok(issued)
}

fn paths(dir: &Path, stem: &str) -> (PathBuf, PathBuf, PathBuf) {
    let file = |end: &str| dir.join(format!("{stem}.{end}"));
    (file("crt"), file("key"), file("names"))
}

fn read(path: &Path) -> PkiResult<String> {
    std::fs::read_to_string(path).map_err(|source| PkiError::Io { path: path.into(), source })
}

/// Writes beside the file and renames, so that a crash leaves the old or the new content.
fn write(path: &Path, text: &str, secret: bool) -> PkiResult<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let beside = path.with_extension("new");
    let mode = if secret { 0o600 } else { 0o644 };
    let result = (|| {
        let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    })();
    result.map_err(|source| PkiError::Io { path: path.into(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_load_finds_the_same_keys() {
        let dir = tempfile::tempdir().unwrap();
        let names = MasterNames { name: "m1".into(), addresses: vec!["127.0.0.1".into()] };
        let made = MasterPki::create(dir.path(), &names).unwrap();
        let found = MasterPki::load(dir.path(), &names).unwrap();
        assert_eq!(made.peer().cert_pem, found.peer().cert_pem);
        assert_eq!(made.admin_token(), found.admin_token());
        let moved = MasterNames { addresses: vec!["10.0.0.9".into()], ..names };
        assert_ne!(MasterPki::load(dir.path(), &moved).unwrap().peer().cert_pem, found.peer().cert_pem);
    }

    #[test]
    fn certificates_are_renewed_near_their_end_and_not_before() {
        let dir = tempfile::tempdir().unwrap();
        let names = MasterNames { name: "m1".into(), addresses: vec!["127.0.0.1".into()] };
        let pki = MasterPki::create(dir.path(), &names).unwrap();
        let first = pki.peer().cert_pem.clone();
        let in_days = |days: i64| Timestamp::now() + jiff::SignedDuration::from_hours(24 * days);
        assert!(!pki.renew(dir.path(), &names, in_days(200)).unwrap());
        assert_eq!(pki.peer().cert_pem, first);
        assert!(pki.renew(dir.path(), &names, in_days(300)).unwrap());
        assert_ne!(pki.peer().cert_pem, first);
        assert_eq!(MasterPki::load(dir.path(), &names).unwrap().peer().cert_pem, pki.peer().cert_pem);
    }
}
