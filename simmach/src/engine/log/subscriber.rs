//! The `tracing` subscriber and the `log` logger that capture records into the run's log.
//!
//! Both are installed for the process before its first run. Otherwise, a program could install its
//! own subscriber in the first run but not in later runs. Spans are accepted and ignored.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::sync::OnceLock;

use log::kv::{self, VisitSource};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Dispatch, Event, Metadata, Subscriber, dispatcher};

use crate::engine::log::filter::{self, LogFilter};
use crate::engine::log::{Level, in_run, is_kept, keep};

/// Installs simmach's subscriber and logger for the process, unless the process has its own.
///
/// A logger that was installed earlier still gets all records of `log`. A subscriber that was
/// installed earlier still gets the records outside runs.
pub(crate) fn install() {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        if log::set_logger(&LogSubscriber).is_ok() {
            OWN_MAX_LEVEL.get_or_init(|| log_level(filter().most_verbose()));
        }
        // This fails only if the process already has a subscriber.
        let _ = dispatcher::set_global_default(subscriber().clone());
    });
}

/// The maximum level of `log`, if simmach's logger is installed.
static OWN_MAX_LEVEL: OnceLock<log::LevelFilter> = OnceLock::new();

/// Captures the records of this thread, which a guest started, until the guard is dropped.
pub(crate) fn on_thread() -> dispatcher::DefaultGuard {
    dispatcher::set_default(subscriber())
}

/// Captures this thread's records into its run until the guard is dropped.
pub(crate) fn enter() -> dispatcher::DefaultGuard {
    // A program may have changed it in an earlier run.
    if let Some(level) = OWN_MAX_LEVEL.get() {
        log::set_max_level(*level);
    }
    dispatcher::set_default(subscriber())
}

/// The subscriber, one for the process: `tracing` caches for each callsite whether it is enabled.
fn subscriber() -> &'static Dispatch {
    static SUBSCRIBER: OnceLock<Dispatch> = OnceLock::new();
    SUBSCRIBER.get_or_init(|| Dispatch::new(LogSubscriber))
}

/// The process's log filter. An invalid `RUST_LOG` is a configuration error that is reported before the first run; until
/// then the default stands in for it.
fn filter() -> &'static LogFilter {
    static DEFAULT: OnceLock<LogFilter> = OnceLock::new();
    filter::of_process().unwrap_or_else(|_| DEFAULT.get_or_init(LogFilter::default))
}

struct LogSubscriber;

impl Subscriber for LogSubscriber {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        match self.enabled(metadata) {
            true => Interest::always(),
            false => Interest::never(),
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Not `is_event`: `tracing::enabled!` passes metadata that is neither an event nor a span.
        !metadata.is_span() && filter().enables(metadata.target(), *metadata.level())
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(filter().most_verbose())
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let Some(is_kept) = in_run() else { return };
        if !is_kept {
            event.record(&mut Sink);
            return;
        }
        let mut text = Text(String::new());
        event.record(&mut text);
        let metadata = event.metadata();
        keep(level_of(*metadata.level()), Cow::Borrowed(metadata.target()), text.finish());
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

impl log::Log for LogSubscriber {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        in_run().is_some() && filter().enables(metadata.target(), tracing_level(metadata.level()))
    }

    fn log(&self, record: &log::Record<'_>) {
        if !log::Log::enabled(self, record.metadata()) {
            return;
        }
        // Visitors of this module never return an error.
        if !is_kept() {
            Sink.format(record.args());
            let _ = record.key_values().visit(&mut Sink);
            return;
        }
        let mut text = Text(String::new());
        text.put_message(*record.args());
        let _ = record.key_values().visit(&mut text);
        let level = level_of(tracing_level(record.level()));
        keep(level, Cow::Owned(record.target().to_owned()), text.finish());
    }

    fn flush(&self) {}
}

fn level_of(level: tracing::Level) -> Level {
    match level {
        tracing::Level::TRACE => Level::Trace,
        tracing::Level::DEBUG => Level::Debug,
        tracing::Level::INFO => Level::Info,
        tracing::Level::WARN => Level::Warn,
        tracing::Level::ERROR => Level::Error,
    }
}

fn tracing_level(level: log::Level) -> tracing::Level {
    match level {
        log::Level::Trace => tracing::Level::TRACE,
        log::Level::Debug => tracing::Level::DEBUG,
        log::Level::Info => tracing::Level::INFO,
        log::Level::Warn => tracing::Level::WARN,
        log::Level::Error => tracing::Level::ERROR,
    }
}

fn log_level(level: LevelFilter) -> log::LevelFilter {
    match level.into_level() {
        None => log::LevelFilter::Off,
        Some(tracing::Level::ERROR) => log::LevelFilter::Error,
        Some(tracing::Level::WARN) => log::LevelFilter::Warn,
        Some(tracing::Level::INFO) => log::LevelFilter::Info,
        Some(tracing::Level::DEBUG) => log::LevelFilter::Debug,
        Some(tracing::Level::TRACE) => log::LevelFilter::Trace,
    }
}

/// Formats the message, followed by other fields as `name=value`.
struct Text(String);

impl Text {
    fn put(&mut self, name: impl fmt::Display, value: impl fmt::Debug) {
        // Writing to a string fails only if the value's `Debug` does.
        if write!(self.0, " {name}={value:?}").is_err() {
            self.0.push_str("<a value that could not be formatted>");
        }
    }
}

impl Text {
    /// Inserts the message before the fields.
    fn put_message(&mut self, message: fmt::Arguments<'_>) {
        let rest = std::mem::take(&mut self.0);
        if write!(self.0, "{message}{rest}").is_err() {
            self.0.push_str("<a value that could not be formatted>");
        }
    }

    /// Returns the text, without the space before the first field if there is no message.
    fn finish(self) -> String {
        match self.0.strip_prefix(' ') {
            Some(text) => text.to_owned(),
            None => self.0,
        }
    }
}

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.put_message(format_args!("{value}")),
            name => self.put(name, value),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.put_message(format_args!("{value:?}")),
            name => self.put(name, value),
        }
    }
}

impl<'a> VisitSource<'a> for Text {
    fn visit_pair(&mut self, key: kv::Key<'a>, value: kv::Value<'a>) -> Result<(), kv::Error> {
        self.put(key, value);
        Ok(())
    }
}

/// Formats a value and discards the text.
pub(super) fn format_and_discard(value: &dyn fmt::Display) {
    Sink.format(format_args!("{value}"));
}

/// Formats records that are not kept, since formatting may have effects, and discards the text.
struct Sink;

impl Sink {
    fn format(&mut self, value: impl fmt::Debug) {
        // The text is discarded, so an error of the value's `Debug` is, too.
        let _ = write!(self, "{value:?}");
    }
}

impl fmt::Write for Sink {
    fn write_str(&mut self, _: &str) -> fmt::Result {
        Ok(())
    }
}

impl Visit for Sink {
    fn record_debug(&mut self, _: &Field, value: &dyn fmt::Debug) {
        self.format(value);
    }

    // Formatting these has no effects.
    fn record_f64(&mut self, _: &Field, _: f64) {}
    fn record_i64(&mut self, _: &Field, _: i64) {}
    fn record_u64(&mut self, _: &Field, _: u64) {}
    fn record_i128(&mut self, _: &Field, _: i128) {}
    fn record_u128(&mut self, _: &Field, _: u128) {}
    fn record_bool(&mut self, _: &Field, _: bool) {}
    fn record_str(&mut self, _: &Field, _: &str) {}
}

impl<'a> VisitSource<'a> for Sink {
    fn visit_pair(&mut self, _: kv::Key<'a>, value: kv::Value<'a>) -> Result<(), kv::Error> {
        self.format(value);
        Ok(())
    }
}
