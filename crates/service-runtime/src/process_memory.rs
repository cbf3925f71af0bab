//! How much memory the process uses, from `/proc/self`.

/// Resident bytes, or nothing where there is no such file.
pub(crate) fn resident_bytes() -> Option<u64> {
    // In kB, so without asking for the size of a page.
    resident_bytes_of(&std::fs::read_to_string("/proc/self/status").ok()?)
}

fn resident_bytes_of(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resident_size_is_read_from_its_line() {
        let status = "Name:\tletterbox\nVmHWM:\t   40000 kB\nVmRSS:\t   31044 kB\nThreads:\t4\n";
        assert_eq!(resident_bytes_of(status), Some(31_044 * 1024));
        assert_eq!(resident_bytes_of("Name:\tletterbox\n"), None);
        assert_eq!(resident_bytes_of("VmRSS:\t many kB\n"), None);
    }

    #[test]
    fn this_process_uses_memory() {
        assert!(resident_bytes().unwrap() > 100_000);
    }
}
