//! The way of log lines to standard error: at once, or gathered for a moment and written together, for
//! a write of its own for each line is a tenth of what a request costs.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// How long a line of level info or below may wait for others.
const GATHERED_FOR: Duration = Duration::from_millis(5);

/// With this many bytes waiting, whoever logs writes them: a reader that is slow then slows the process
/// down, as it would without us, rather than filling its memory.
const MOST_WAITING: usize = 256 * 1024;

/// Where lines go.
pub(crate) struct LogLines {
    waiting: Mutex<Vec<u8>>,
    some_wait: Condvar,
    /// Held while lines are taken and written, so that they stay in order.
    sink: Mutex<Box<dyn Write + Send>>,
    gathering: AtomicBool,
}

impl LogLines {
    /// To this place, each line at once until [`gather`](Self::gather).
    pub(crate) fn to(sink: impl Write + Send + 'static) -> Arc<Self> {
        Arc::new(Self {
            waiting: Mutex::default(),
            some_wait: Condvar::new(),
            sink: Mutex::new(Box::new(sink)),
            gathering: AtomicBool::new(false),
        })
    }

    /// From now on a thread writes lines of level info and below, a few milliseconds later and many at
    /// once; warnings and errors still wait for nobody, and take with them what waits.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub(crate) fn gather(self: Arc<Self>) -> io::Result<GatheredLines> {
        let lines = Arc::clone(&self);
        self.gathering.store(true, Ordering::SeqCst);
        let thread = std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || lines.write_as_they_come())
            .inspect_err(|_| self.gathering.store(false, Ordering::SeqCst))?;
        Ok(GatheredLines {
            lines: self,
            thread: Some(thread),
        })
    }

    fn write_as_they_come(&self) {
        loop {
            let waiting = self.waiting();
            if !self.gathering.load(Ordering::SeqCst) {
                return;
            }
            if waiting.is_empty() {
                drop(
                    self.some_wait
                        .wait(waiting)
                        .unwrap_or_else(PoisonError::into_inner),
                );
                continue;
            }
            drop(waiting);
            std::thread::sleep(GATHERED_FOR);
            self.write_waiting();
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<u8>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_waiting(&self) {
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = std::mem::take(&mut *self.waiting());
        // A log that cannot be written is nobody's reason to stop serving.
        let _ = sink.write_all(&lines).and_then(|()| sink.flush());
    }

    fn add(&self, line: &[u8], is_urgent: bool) {
        let (was_empty, bytes) = {
            let mut waiting = self.waiting();
            let was_empty = waiting.is_empty();
            waiting.extend_from_slice(line);
            (was_empty, waiting.len())
        };
        if is_urgent || bytes > MOST_WAITING || !self.gathering.load(Ordering::SeqCst) {
            self.write_waiting();
        } else if was_empty {
            self.some_wait.notify_one();
        }
    }
}

/// While this lives, lines are gathered; when it is dropped, all are written.
pub struct GatheredLines {
    lines: Arc<LogLines>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for GatheredLines {
    fn drop(&mut self) {
        {
            // Under the lock: the thread looks at the flag while it holds it, or waits to be called.
            let _waiting = self.lines.waiting();
            self.lines.gathering.store(false, Ordering::SeqCst);
        }
        self.lines.some_wait.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.lines.write_waiting();
    }
}

/// One line on its way; tracing's formatter writes it in one piece.
pub(crate) struct Line<'a> {
    lines: &'a LogLines,
    is_urgent: bool,
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lines.add(bytes, self.is_urgent);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the formatter is given.
pub(crate) struct ToLines(pub(crate) Arc<LogLines>);

impl<'a> MakeWriter<'a> for ToLines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        Line {
            lines: &self.0,
            is_urgent: true,
        }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Self::Writer {
        Line {
            lines: &self.0,
            is_urgent: *metadata.level() <= Level::WARN,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Remembers each write.
    #[derive(Clone, Default)]
    struct Writes(Arc<Mutex<Vec<String>>>);

    impl Writes {
        fn so_far(&self) -> Vec<String> {
            self.0.lock().unwrap().clone()
        }
    }

    impl Write for Writes {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            if !text.is_empty() {
                self.0.lock().unwrap().push(text);
            }
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logging_to(writes: &Writes) -> (Arc<LogLines>, tracing::subscriber::DefaultGuard) {
        let lines = LogLines::to(writes.clone());
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .without_time()
            .with_target(false)
            .with_writer(ToLines(Arc::clone(&lines)))
            .finish();
        (lines, tracing::subscriber::set_default(subscriber))
    }

    #[test]
    fn a_line_is_written_at_once_until_lines_are_gathered() {
        let writes = Writes::default();
        let (_lines, _guard) = logging_to(&writes);
        tracing::info!("one");
        assert_eq!(writes.so_far(), [" INFO one\n"]);
    }

    #[test]
    fn gathered_lines_are_written_together_by_the_thread() {
        let writes = Writes::default();
        let (lines, _guard) = logging_to(&writes);
        let gathered = lines.gather().unwrap();
        for number in 0..100 {
            tracing::info!(number, "a line");
        }
        while writes.so_far().concat().lines().count() < 100 {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(writes.so_far().len() < 100, "each was written alone");
        drop(gathered);
    }

    #[test]
    fn an_error_takes_with_it_what_waits_and_order_stays() {
        let writes = Writes::default();
        let (lines, _guard) = logging_to(&writes);
        let _gathered = lines.gather().unwrap();
        tracing::info!("first");
        tracing::error!("second");
        let text = writes.so_far().concat();
        assert_eq!(text, " INFO first\nERROR second\n");
    }

    #[test]
    fn nothing_is_left_at_the_end_and_lines_go_on_after_it() {
        let writes = Writes::default();
        let (lines, _guard) = logging_to(&writes);
        let gathered = lines.gather().unwrap();
        tracing::info!("first");
        drop(gathered);
        assert_eq!(writes.so_far().concat(), " INFO first\n");
        tracing::info!("second");
        assert_eq!(writes.so_far().last().unwrap(), " INFO second\n");
    }

    #[test]
    fn a_slow_reader_costs_time_not_memory() {
        let writes = Writes::default();
        let lines = LogLines::to(writes.clone());
        // gathering without a thread: nobody else would ever write
        lines.gathering.store(true, Ordering::SeqCst);
        let line = vec![b'x'; 1024];
        for _ in 0..1024 {
            lines.add(&line, false);
            assert!(lines.waiting().len() <= MOST_WAITING + line.len());
        }
        assert!(writes.so_far().len() >= 3);
    }
}
