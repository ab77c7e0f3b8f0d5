//! The server on this machine, for a tester that is told of none: its process, its address and its
//! admin token, as the kernel and the server's own settings give them.
//!
//! Nothing is guessed: with no server here, or with several, there is no answer.

use super::process_source::SERVER;
use procfs::net::{TcpNetEntry, TcpState, tcp, tcp6};
use procfs::process::{FDTarget, Process, all_processes};
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// A server that was found.
pub struct LocalServer {
    pub pid: u32,
    pub host: String,
    pub token: Option<String>,
}

/// Finds the one server of this machine.
pub fn find() -> Option<LocalServer> {
    let named = all_processes().ok()?.flatten().filter(|process| process.stat().is_ok_and(|stat| stat.comm == SERVER));
    let mut listening = named.filter_map(|process| Some((listening_address(&process)?, process)));
    let (address, process) = listening.next()?;
    if listening.next().is_some() {
        return None;
    }
    let pid = process.pid().unsigned_abs();
    Some(LocalServer { pid, host: format!("http://{address}"), token: admin_token(&process) })
}

/// The address with the lowest port on which a process listens.
fn listening_address(process: &Process) -> Option<SocketAddr> {
    let files = process.fd().ok()?.flatten();
    let sockets: HashSet<u64> = files
        .filter_map(|file| match file.target {
            FDTarget::Socket(inode) => Some(inode),
            _ => None,
        })
        .collect();
    let entries = tcp().into_iter().flatten().chain(tcp6().into_iter().flatten());
    let own = entries.filter(|entry: &TcpNetEntry| entry.state == TcpState::Listen && sockets.contains(&entry.inode));
    let address = own.map(|entry| entry.local_address).min_by_key(SocketAddr::port)?;
    let loopback = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    Some(SocketAddr::new(loopback, address.port()))
}

/// The admin token, where this user may read it: a setting, or a file that a setting names, or the
/// file in the data folder.
fn admin_token(process: &Process) -> Option<String> {
    let (environment, arguments) = (process.environ().ok()?, process.cmdline().ok()?);
    let setting = |variable: &str, flag: &str| {
        let of_flag = arguments.iter().position(|argument| argument == flag).and_then(|at| arguments.get(at + 1)).cloned();
        let of_environment = environment.get(std::ffi::OsStr::new(variable)).and_then(|value| value.clone().into_string().ok());
        of_flag.or(of_environment).filter(|value| !value.is_empty())
    };
    let folder = process.cwd().ok()?;
    let read = |path: &Path| Some(std::fs::read_to_string(folder.join(path)).ok()?.trim().to_owned());
    if let Some(token) = setting("LUCKYDRAW_ADMIN_TOKEN", "--admin-token") {
        return Some(token);
    }
    if let Some(file) = setting("LUCKYDRAW_ADMIN_TOKEN_FILE", "--admin-token-file") {
        return read(Path::new(&file));
    }
    let data: PathBuf = setting("LUCKYDRAW_DATA_DIR", "--data-dir").unwrap_or_else(|| "data".to_owned()).into();
    read(&data.join("admin.token"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_listens_is_found_by_its_sockets() {
        let listener = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let found = listening_address(&Process::myself().unwrap()).unwrap();
        assert!(found.ip().is_loopback() && found.port() <= port, "{found}, not above {port}");
    }
}
