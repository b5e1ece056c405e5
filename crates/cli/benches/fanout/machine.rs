//! The server as a child, its folder, and what the operating system says of it.
#![expect(clippy::disallowed_methods, reason = "a bench measures time")]

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tertulia_token::{ChatGrant, Mint, Secret};

use super::Outcome;

/// Another binary may be measured, so that two versions can be compared by alternating runs.
fn binary() -> PathBuf {
    std::env::var_os("TERTULIA_BENCH_BINARY").map_or_else(|| env!("CARGO_BIN_EXE_tertulia").into(), PathBuf::from)
}

/// The binary as a child; killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) uri: String,
    facts: HashMap<String, String>,
}

impl Server {
    pub(crate) async fn start(data: &Path, settings: &[(&str, String)]) -> Outcome<Self> {
        let env_file = data.join("bench.env");
        let _ = fs::remove_file(&env_file);
        let child = Command::new(binary())
            .args(["dev", "--port", "0", "--data"])
            .arg(data)
            .arg("--env-file")
            .arg(&env_file)
            .envs(settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let mut server = Self { child, uri: String::new(), facts: HashMap::new() };
        for _ in 0..1000 {
            if let Ok(text) = fs::read_to_string(&env_file) {
                let pairs = text.lines().filter_map(|line| line.split_once('='));
                let unquoted = |(name, value): (&str, &str)| (name.to_owned(), value.trim_matches('\'').to_owned());
                server.facts = pairs.map(unquoted).collect();
                server.uri = server.fact("TERTULIA_TWILSOCK_URI");
                return Ok(server);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Err("the server was not ready within ten seconds".into())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Host and port.
    pub(crate) fn address(&self) -> &str {
        let rest = self.uri.trim_start_matches("ws://");
        rest.split('/').next().unwrap_or(rest)
    }

    pub(crate) fn fact(&self, name: &str) -> String {
        self.facts.get(name).cloned().unwrap_or_default()
    }

    pub(crate) fn token(&self, identity: &str) -> Outcome<String> {
        let secret = Secret::new(self.fact("TWILIO_API_SECRET"));
        let mint = Mint::new(self.fact("TWILIO_ACCOUNT_SID"), self.fact("TWILIO_API_KEY"), &secret)
            .identity(identity)
            .grant(ChatGrant::new(self.fact("TWILIO_CHAT_SERVICE_SID")));
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        Ok(mint.sign(i64::try_from(now)?)?.token)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Gone already, at worst.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder beside the build, on a real disk; removed when dropped.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Outcome<Self> {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fanout-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// User and system time of a process, to a hundredth of a second.
pub(crate) fn cpu(pid: u32) -> Outcome<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').ok_or("no stat")?;
    let ticks = |place: usize| fields.split_whitespace().nth(place).and_then(|field| field.parse::<u64>().ok());
    let (user, system) = ticks(11).zip(ticks(12)).ok_or("no times in stat")?;
    Ok(Duration::from_millis((user + system) * 10))
}

/// The CPU time of a process, from two sources: its threads in nanoseconds, which forget a thread when it ends,
/// and the whole process in hundredths of a second.
pub(crate) struct FineCpu {
    threads: Duration,
    process: Duration,
}

impl FineCpu {
    /// What was spent between two readings: the fine one, unless a thread that ended is missing from it.
    pub(crate) fn since(&self, before: &Self) -> Duration {
        let (fine, coarse) = (self.threads.saturating_sub(before.threads), self.process.saturating_sub(before.process));
        if fine.abs_diff(coarse) > Duration::from_millis(20) { coarse } else { fine }
    }
}

pub(crate) fn fine_cpu(pid: u32) -> Outcome<FineCpu> {
    let mut threads = Duration::ZERO;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end while the folder is read.
        let Ok(text) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
        let nanos = text.split_whitespace().next().and_then(|field| field.parse().ok()).unwrap_or(0);
        threads += Duration::from_nanos(nanos);
    }
    Ok(FineCpu { threads, process: cpu(pid)? })
}

pub(crate) fn resident_kib(pid: u32) -> Outcome<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

pub(crate) fn open_files_max() -> Outcome<usize> {
    let limits = fs::read_to_string("/proc/self/limits")?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).ok_or("no limit")?;
    let soft = line.split_whitespace().next().ok_or("no limit")?;
    Ok(soft.parse().unwrap_or(usize::MAX))
}
