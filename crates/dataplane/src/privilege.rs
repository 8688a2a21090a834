//! The rights of the process: no more than the TUN device takes, and none once it is open.
//!
//! Linux keeps capabilities for each thread, and a new thread begins with its maker's. So rights
//! are given up while there is only one thread; these functions refuse otherwise.

use std::fmt;

use rustix::{
    io::Errno,
    process::geteuid,
    thread::{
        CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set,
        clear_ambient_capability_set, no_new_privs, remove_capability_from_bounding_set,
        set_capabilities, set_no_new_privs,
    },
};
use thiserror::Error;

/// What to run where CAP_NET_ADMIN is missing: the middle of a sentence.
pub(crate) const HOW_TO_GIVE_NET_ADMIN: &str = "in the systemd unit set `AmbientCapabilities=CAP_NET_ADMIN`, or as root run `setcap cap_net_admin+ep` on the program's file";

/// The rights a thread holds, for a status line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// The effective user: 0 is root, who without capabilities still owns root's files.
    pub user: u32,
    /// What the thread may do now.
    pub effective: CapabilitySet,
    /// What it may give itself.
    pub permitted: CapabilitySet,
    /// What programs it starts could get from their files.
    pub bounding: CapabilitySet,
    /// Programs it starts get no right that it has not.
    pub no_new_privileges: bool,
}

/// Why rights could not be given up, or found out.
#[derive(Debug, Error)]
pub enum PrivilegeError {
    /// Other threads would keep their rights.
    #[error(
        "rights cannot be given up while {threads} threads run, as each has its own; give them up before starting any"
    )]
    Threads {
        /// How many threads run.
        threads: usize,
    },
    /// How many threads there are cannot be seen.
    #[error("cannot count the threads of the process in /proc/self/task: {0}")]
    CountThreads(std::io::Error),
    /// The kernel refused.
    #[error("cannot {doing}: {error}")]
    Refused {
        /// What was tried.
        doing: &'static str,
        /// The kernel's reason.
        error: std::io::Error,
    },
}

impl Held {
    /// The calling thread's rights.
    ///
    /// # Errors
    /// Where the kernel does not tell.
    pub fn now() -> Result<Self, PrivilegeError> {
        let sets = capabilities(None).map_err(refused("read the capabilities"))?;
        Ok(Self {
            user: geteuid().as_raw(),
            effective: sets.effective,
            permitted: sets.permitted,
            bounding: all().filter(bounded).collect(),
            no_new_privileges: no_new_privs().map_err(refused("read no_new_privs"))?,
        })
    }

    /// Whether the thread can make and set up network devices.
    pub fn net_admin(&self) -> bool {
        self.effective.contains(CapabilitySet::NET_ADMIN)
    }
}

/// `user 989, capabilities net_admin, no new privileges`.
impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "user {}, capabilities ", self.user)?;
        let held = self.effective | self.permitted;
        if held.is_empty() {
            f.write_str("none")?;
        }
        for (index, capability) in all().filter(|one| held.contains(*one)).enumerate() {
            let comma = if index == 0 { "" } else { "," };
            match capability.iter_names().next() {
                Some((name, _)) => write!(f, "{comma}{}", name.to_ascii_lowercase())?,
                None => write!(f, "{comma}{:#x}", capability.bits())?,
            }
        }
        f.write_str(match self.no_new_privileges {
            true => ", no new privileges",
            false => ", new privileges possible",
        })
    }
}

/// Gives up, for good, every right but CAP_NET_ADMIN (where it is held at all), before the device
/// is opened. Files of other users can then no longer be opened, though the process be root's.
///
/// # Errors
/// Where other threads run, or the kernel refuses.
pub fn keep_only_net_admin() -> Result<Held, PrivilegeError> {
    keep_only(CapabilitySet::NET_ADMIN)
}

/// Gives up, for good, every right but CAP_NET_RAW (where it is held at all), before packet sockets
/// are opened.
///
/// # Errors
/// Where other threads run, or the kernel refuses.
pub fn keep_only_net_raw() -> Result<Held, PrivilegeError> {
    keep_only(CapabilitySet::NET_RAW)
}

/// Gives up, for good, every right, once the device is open.
///
/// # Errors
/// Where other threads run, or the kernel refuses.
pub fn drop_all() -> Result<Held, PrivilegeError> {
    keep_only(CapabilitySet::empty())
}

fn keep_only(kept: CapabilitySet) -> Result<Held, PrivilegeError> {
    refuse_when_threaded()?;
    let held = capabilities(None).map_err(refused("read the capabilities"))?;
    if held.effective.contains(CapabilitySet::SETPCAP) {
        for capability in all().filter(bounded) {
            remove_capability_from_bounding_set(capability)
                .map_err(refused("empty the capability bounding set"))?;
        }
    }
    // With it, not even root's programs get back what their starter has not (Linux
    // `cap_bprm_creds_from_file`).
    set_no_new_privs(true).map_err(refused("set no_new_privs"))?;
    clear_ambient_capability_set().map_err(refused("clear the ambient capabilities"))?;
    let kept = held.permitted & kept;
    let sets = CapabilitySets {
        effective: kept,
        permitted: kept,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, sets).map_err(refused("give up capabilities"))?;
    Held::now()
}

fn refuse_when_threaded() -> Result<(), PrivilegeError> {
    let threads = std::fs::read_dir("/proc/self/task")
        .map_err(PrivilegeError::CountThreads)?
        .count();
    match threads {
        1 => Ok(()),
        threads => Err(PrivilegeError::Threads { threads }),
    }
}

/// Each capability there can be.
fn all() -> impl Iterator<Item = CapabilitySet> {
    (0..u64::BITS).map(|bit| CapabilitySet::from_bits_retain(1 << bit))
}

/// Whether the capability is in the bounding set; one the kernel does not know is not.
fn bounded(capability: &CapabilitySet) -> bool {
    capability_is_in_bounding_set(*capability).unwrap_or(false)
}

fn refused(doing: &'static str) -> impl FnOnce(Errno) -> PrivilegeError {
    move |error| PrivilegeError::Refused {
        doing,
        error: error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_reads_well() {
        let held = Held {
            user: 989,
            effective: CapabilitySet::NET_ADMIN,
            permitted: CapabilitySet::NET_ADMIN | CapabilitySet::BPF,
            bounding: CapabilitySet::empty(),
            no_new_privileges: true,
        };
        assert_eq!(
            held.to_string(),
            "user 989, capabilities net_admin,bpf, no new privileges"
        );
        let none = Held {
            effective: CapabilitySet::empty(),
            permitted: CapabilitySet::empty(),
            no_new_privileges: false,
            ..held
        };
        assert_eq!(
            none.to_string(),
            "user 989, capabilities none, new privileges possible"
        );
    }

    #[test]
    fn rights_are_not_given_up_beside_other_threads() {
        let (stop, wait) = std::sync::mpsc::channel::<()>();
        let other = std::thread::spawn(move || wait.recv());
        let result = keep_only_net_admin();
        drop(stop);
        let _ = other.join();
        assert!(
            matches!(result, Err(PrivilegeError::Threads { threads }) if threads >= 2),
            "{result:?}"
        );
    }
}
