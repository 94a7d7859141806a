//! A measurement as one page.

use std::fmt::Write as _;

use super::latency_chart::latency_chart;
use super::page::{escaped, head};
use super::rate_chart::rate_chart;
use crate::format::{duration, grouped};
use crate::latency::Latency;
use crate::measurement::{Measurement, Trial};
use crate::unrest::Unrest;

impl Measurement {
    /// The page.
    pub fn to_html(&self) -> String {
        let mut page = head("Skyring, measured");
        // Writing to a String does not fail.
        let _ = writeln!(
            page,
            "<h1>{} calls/s, p99 {}</h1>\n<p>{}</p>",
            grouped(self.calls_per_second),
            duration(self.latency_us.p99),
            escaped(&self.summary())
        );
        for warning in self.warnings() {
            let _ = writeln!(page, "<p class=\"bad\">{}</p>", escaped(&warning));
        }
        self.write_figures(&mut page);
        if let Some(data) = &self.chart_data {
            let _ = writeln!(
                page,
                "<h2>Latency by percentile</h2>\n<figure>\n{}</figure>",
                latency_chart(data).to_svg()
            );
            let _ = writeln!(
                page,
                "<h2>Calls a second over time</h2>\n<figure>\n{}</figure>",
                rate_chart(data, &self.settings).to_svg()
            );
        }
        self.write_floors(&mut page);
        if let Some(search) = &self.search {
            let _ = writeln!(
                page,
                "<h2>The search: {}</h2>",
                escaped(&search.objective.to_string())
            );
            write_trials(&mut page, &search.trials);
        }
        self.write_settings(&mut page);
        page.push_str(
            "<footer>Made by <code>skyring bench --html</code>. The ratio to a floor of the same run is the figure to \
             compare between machines.</footer>\n</main></body></html>\n",
        );
        page
    }

    fn summary(&self) -> String {
        let settings = &self.settings;
        let loop_ = match settings.rate {
            None => format!("closed loop, {} calls in flight", grouped(self.in_flight as f64)),
            Some(rate) => format!("open loop, {} calls/s wanted", grouped(rate)),
        };
        let channels = match self.channels {
            1 => "one channel".to_owned(),
            channels => format!("{channels} channels"),
        };
        format!(
            "{loop_}, {channels}, {}-byte values to {}, measured for {} s after {} s of warm-up",
            grouped(self.size as f64),
            settings.called,
            (settings.seconds * 10.0).round() / 10.0,
            settings.warmup_seconds
        )
    }

    /// What a reader must notice.
    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.errors > 0 {
            let codes: Vec<_> = self
                .errors_by_code
                .iter()
                .map(|(code, count)| format!("{} {code}", grouped(*count as f64)))
                .collect();
            warnings.push(format!("Calls failed: {}.", codes.join(", ")));
        }
        if self.backlog_max > 0 {
            warnings.push(format!(
                "Up to {} calls waited to begin, because {} were in flight; their time counts from when they should have.",
                grouped(self.backlog_max as f64),
                grouped(self.in_flight as f64)
            ));
        }
        if self.unanswered > 0 {
            warnings.push(format!(
                "{} calls were never answered; they count with the time that they had waited at the end.",
                grouped(self.unanswered as f64)
            ));
        }
        warnings.extend(
            self.unrest
                .iter()
                .filter_map(|unrest| unrest.warning())
                .map(|text| {
                    let mut characters = text.chars();
                    let first = characters.next().map(|first| first.to_ascii_uppercase());
                    format!("{}.", first.into_iter().chain(characters).collect::<String>())
                }),
        );
        warnings
    }

    fn write_figures(&self, page: &mut String) {
        let latency = &self.latency_us;
        let figures = [
            (grouped(self.calls_per_second), "calls/s"),
            (duration(latency.p50), "p50"),
            (duration(latency.p90), "p90"),
            (duration(latency.p99), "p99"),
            (duration(latency.p999), "p99.9"),
            (duration(latency.max), "max"),
            (grouped(self.errors as f64), "errors"),
            (
                format!("{:.2} us", self.cpu_us_per_call()),
                "CPU a call, both sides",
            ),
        ];
        page.push_str("<div class=\"figures\">\n");
        for (figure, name) in figures {
            let _ = writeln!(page, "<div><b>{figure}</b><span>{name}</span></div>");
        }
        page.push_str("</div>\n");
    }

    fn write_floors(&self, page: &mut String) {
        if self.floors.is_empty() {
            return;
        }
        page.push_str(
            "<h2>Beside its floors</h2>\n<p>What the machine can do at best with a certain means, measured in the same run. \
             Bars are calls a second.</p>\n<div class=\"scroll\"><table><tr><th></th><th></th><th>in flight</th>\
             <th>calls/s</th><th>p50</th><th>p99</th><th>Skyring's calls</th><th>its p50</th></tr>\n",
        );
        let floors = self.floors.iter();
        let most = floors
            .map(|floor| floor.calls_per_second)
            .fold(self.calls_per_second.max(1.0), f64::max);
        let row = |name: &str, class: &str, in_flight: usize, rate: f64, latency: &Latency| {
            format!(
                "<tr{class}><td>{}</td><td class=\"bar\"><div style=\"width:{:.1}%\"></div></td><td>{}</td><td>{}</td>\
                 <td>{}</td><td>{}</td>",
                escaped(name),
                rate / most * 100.0,
                grouped(in_flight as f64),
                grouped(rate),
                duration(latency.p50),
                duration(latency.p99)
            )
        };
        let ours = row(
            "Skyring",
            " class=\"ours\"",
            self.in_flight,
            self.calls_per_second,
            &self.latency_us,
        );
        let _ = writeln!(page, "{ours}<td></td><td></td></tr>");
        for floor in &self.floors {
            let _ = writeln!(
                page,
                "{}<td>{:.2} x</td><td>{:.2} x</td></tr>",
                row(
                    &floor.name,
                    "",
                    floor.in_flight,
                    floor.calls_per_second,
                    &floor.latency_us
                ),
                self.calls_per_second / floor.calls_per_second,
                self.latency_us.p50 / floor.latency_us.p50
            );
        }
        page.push_str("</table></div>\n");
        for floor in &self.floors {
            let _ = writeln!(page, "<p>{}: {}.</p>", escaped(&floor.name), escaped(&floor.note));
        }
    }

    fn write_settings(&self, page: &mut String) {
        let settings = &self.settings;
        let listed = |cpus: &[usize]| cpus.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
        let server = match &settings.server_cpus[..] {
            [] => "ran already".to_owned(),
            cpus => format!("processors {}", listed(cpus)),
        };
        let seconds = |seconds: f64| format!("{seconds:.2} s");
        let machine = &self.machine;
        let facts = [
            ("Called", settings.called.clone()),
            ("Calls answered", grouped(self.calls as f64)),
            ("In flight", grouped(self.in_flight as f64)),
            (
                "Rate",
                settings.rate.map_or_else(
                    || "as answers come".to_owned(),
                    |rate| format!("{} calls/s", grouped(rate)),
                ),
            ),
            ("Value", format!("{} bytes", grouped(self.size as f64))),
            ("Channels", self.channels.to_string()),
            ("Shards of each side", settings.threads.to_string()),
            ("Keys", grouped(settings.keys as f64)),
            ("Spinning", format!("{} us", settings.spin_us)),
            ("Dialect", settings.dialect.clone()),
            ("Server", server),
            ("Client", format!("processors {}", listed(&settings.client_cpus))),
            ("Client's processor time", seconds(self.cpu_seconds.client)),
            (
                "Server's processor time",
                self.cpu_seconds
                    .server
                    .map_or_else(|| "not known".to_owned(), seconds),
            ),
            (
                "Processor",
                format!("{} x {}", machine.processors, machine.processor),
            ),
            (
                "Memory",
                format!("{:.1} GiB", machine.memory_bytes as f64 / (1u64 << 30) as f64),
            ),
            ("Kernel", format!("{}, {}", machine.kernel, machine.architecture)),
            ("Skyring", machine.skyring.clone()),
        ];
        page.push_str("<h2>Settings and machine</h2>\n<dl>\n");
        for (name, fact) in facts {
            let _ = writeln!(page, "<div><dt>{name}</dt><dd>{}</dd></div>", escaped(&fact));
        }
        // A sentence needs the width of the page.
        let unrest = self
            .unrest
            .as_ref()
            .map_or_else(|| "not measured".to_owned(), Unrest::summary);
        let _ = writeln!(
            page,
            "<div class=\"whole\"><dt>Unrest of the machine</dt><dd>{}</dd></div>\n</dl>",
            escaped(&unrest)
        );
    }
}

fn write_trials(page: &mut String, trials: &[Trial]) {
    page.push_str(
        "<div class=\"scroll\"><table><tr><th>wanted calls/s</th><th>answered</th><th>latency</th><th>met</th></tr>\n",
    );
    for trial in trials {
        let _ = writeln!(
            page,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            grouped(trial.rate),
            grouped(trial.calls_per_second),
            duration(trial.latency_us),
            if trial.met { "yes" } else { "no" }
        );
    }
    page.push_str("</table></div>\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::histogram;
    use crate::measurement::tests::measurement;

    #[test]
    fn a_page_has_both_curves_the_settings_and_the_floors_and_needs_no_other_file() {
        let mut measured = measurement();
        let mut floor = histogram();
        floor.saturating_record(50_000);
        measured.add_echo(crate::Floor {
            calls: 1,
            calls_per_second: 20_000.0,
            latency_us: Latency::of(&floor),
            latencies: floor,
            size: 64,
            seconds: 1.0,
        });
        let page = measured.to_html();
        assert_eq!(page.matches("<svg").count(), 2, "{page}");
        for part in [
            "class=\"curve ours\"",
            "class=\"curve floor\"",
            "class=\"curve wanted\"",
            "<dt>In flight</dt><dd>4</dd>",
            "<td>blocking TCP echo</td>",
            "Calls failed: 2 timeout, 1 unreachable.",
            "Up to 3 calls waited",
            "99.9",
            "prefers-color-scheme:dark",
        ] {
            assert!(page.contains(part), "no {part:?} in {page}");
        }
        for outside in ["http", "<script", "<link", "url(", "NaN", "inf"] {
            assert!(!page.contains(outside), "{outside} in {page}");
        }
    }

    #[test]
    fn a_measurement_without_any_call_is_still_a_page() {
        let mut measured = measurement();
        if let Some(data) = &mut measured.chart_data {
            data.latencies.reset();
            data.rates.clear();
        }
        let page = measured.to_html();
        assert!(page.ends_with("</html>\n") && !page.contains("NaN"), "{page}");
    }

    #[test]
    fn names_from_outside_are_text() {
        let mut measured = measurement();
        measured.settings.called = "<b>\"db\"</b>".to_owned();
        let page = measured.to_html();
        assert!(
            page.contains("&lt;b&gt;&quot;db&quot;&lt;/b&gt;") && !page.contains("<b>\""),
            "{page}"
        );
    }
}
