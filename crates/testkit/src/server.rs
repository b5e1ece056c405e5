//! One PostgreSQL server for the whole test process, in a folder of its own, on a free port.
//!
//! A small shell watches over it: it holds the reading end of a pipe whose writing end only this
//! process has. When this process ends, even by a signal, the pipe ends; the shell then stops the
//! server it started and removes the folder.

use std::fmt;
use std::fs;
use std::io::{self, BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// Waits for `$1` (the folder) with the tools in `$2`, on port `$3`.
const WATCH: &str = r#"
"$2/initdb" --no-sync -D "$1/data" -U postgres -A trust -E UTF8 --locale=C 2>&1 || exit 1
"$2/postgres" -D "$1/data" -k "$1" -p "$3" -c listen_addresses=127.0.0.1 -c max_connections=300 \
    -c shared_buffers=32MB -c fsync=off -c full_page_writes=off </dev/null 2>&1 &
server=$!
cat >/dev/null
kill -QUIT "$server"
wait "$server"
rm -rf "$1"
"#;

const READY: &str = "database system is ready to accept connections";
/// Another process may take the free port before the server does.
const TRIES: usize = 5;

static SERVER: OnceLock<Result<Server, Unavailable>> = OnceLock::new();

/// Why there is no server.
#[derive(Clone, Debug)]
pub struct Unavailable(String);

impl Unavailable {
    pub(crate) fn because(why: &str) -> Self {
        Self(why.into())
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unavailable {}

/// A server that ends when this value is dropped, or with this process.
#[derive(Debug)]
pub struct Server {
    url: String,
    /// Its end of the pipe keeps the server alive.
    watch: Child,
}

impl Server {
    /// Starts one for a test that does to it what no other test would survive.
    pub fn start() -> Result<Self, Unavailable> {
        let tools = tools().ok_or_else(|| Unavailable::because("no initdb and postgres were found"))?;
        let mut last = String::new();
        for _ in 0..TRIES {
            match start_with(&tools) {
                Ok(server) => return Ok(server),
                Err(error) => last = error.to_string(),
            }
        }
        Err(Unavailable(last))
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.watch.stdin.take());
        // However it ends, there is nobody to tell.
        let _ = self.watch.wait();
    }
}

/// The address of a server, `postgres://…`: the one in `TERTULIA_TEST_POSTGRES` if that is set,
/// otherwise one that is started on the first call and ends with this process. Its `fsync` is off.
pub fn postgres() -> Result<String, Unavailable> {
    if let Ok(url) = std::env::var("TERTULIA_TEST_POSTGRES") {
        return Ok(url);
    }
    let server = SERVER.get_or_init(Server::start).as_ref();
    server.map(|server| server.url.clone()).map_err(Clone::clone)
}

fn start_with(tools: &Path) -> io::Result<Server> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let folder = std::env::temp_dir().join(format!("tertulia-pg-{}-{port}", std::process::id()));
    fs::create_dir(&folder)?;
    let mut watch = Command::new("sh");
    watch.args(["-c", WATCH, "sh"]).args([&folder, tools]).arg(port.to_string());
    watch.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    detach(&mut watch, &folder)?;
    let mut watch = watch.spawn()?;
    if let Err(error) = wait_until_ready(&mut watch) {
        // The shell may have given up before it came to its last line.
        drop(watch.stdin.take());
        let _ = watch.wait();
        let _ = fs::remove_dir_all(&folder);
        return Err(error);
    }
    Ok(Server { url: format!("postgres://postgres@127.0.0.1:{port}/postgres"), watch })
}

/// Reads what the server says until it is ready; what it says later is read and dropped, so that
/// it never waits for us.
fn wait_until_ready(watch: &mut Child) -> io::Result<()> {
    let Some(said) = watch.stdout.take() else {
        return Err(io::Error::other("the server has no output"));
    };
    let mut lines = BufReader::new(said).lines();
    let mut last = Vec::new();
    for line in lines.by_ref() {
        let line = line?;
        if line.contains(READY) {
            std::thread::spawn(move || lines.for_each(drop));
            return Ok(());
        }
        last.push(line);
    }
    let from = last.len().saturating_sub(3);
    Err(io::Error::other(format!("PostgreSQL did not start: {}", last[from..].join(" | "))))
}

/// A group of its own, so that a Ctrl-C meant for the tests does not end the watch before its
/// work is done; and not as root, which PostgreSQL refuses.
#[cfg(unix)]
fn detach(watch: &mut Command, folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, chown};
    use std::os::unix::process::CommandExt as _;
    watch.process_group(0);
    if fs::metadata("/proc/self").or_else(|_| fs::metadata(folder))?.uid() != 0 {
        return Ok(());
    }
    let Some((uid, gid)) = user("postgres").or_else(|| user("nobody")) else {
        return Err(io::Error::other("PostgreSQL does not run as root, and there is no other user"));
    };
    chown(folder, Some(uid), Some(gid))?;
    watch.current_dir(folder).uid(uid).gid(gid);
    Ok(())
}

#[cfg(not(unix))]
fn detach(_watch: &mut Command, _folder: &Path) -> io::Result<()> {
    Err(io::Error::other("set TERTULIA_TEST_POSTGRES: a server is started on Unix only"))
}

#[cfg(unix)]
fn user(name: &str) -> Option<(u32, u32)> {
    let users = fs::read_to_string("/etc/passwd").ok()?;
    let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// The folder with the server's programs: on the PATH, or where Debian puts them, newest first.
fn tools() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|found| found.flatten().map(|entry| entry.path().join("bin")).collect())
        .unwrap_or_default();
    versions.sort_by_key(|folder| std::cmp::Reverse(version(folder)));
    folders.extend(versions);
    let complete = |folder: &&PathBuf| ["initdb", "postgres"].iter().all(|t| folder.join(t).is_file());
    folders.iter().find(complete).cloned()
}

fn version(folder: &Path) -> u32 {
    let name = folder.parent().and_then(Path::file_name);
    name.and_then(|name| name.to_str()?.parse().ok()).unwrap_or(0)
}
