//! The table as one HTML page without scripts, fonts or other files.

use std::fmt::Write as _;

use super::contender::SKYRING;
use super::table::{Group, Row, Table};
use crate::format::{duration, grouped};
use crate::html::{escaped, head};

impl Table {
    /// The page.
    pub fn to_html(&self) -> String {
        let mut page = head("Skyring and its peers");
        page.push_str("<h1>Skyring and its peers</h1>\n");
        // Writing to a String does not fail.
        let _ = writeln!(
            page,
            "<p>Calls over one loopback TCP connection between two processes, each pinned to a processor; \
             {}-byte values there and back; medians of {} interleaved runs of {} s. Bars are calls a second. \
             The last two columns say how many times its calls a second Skyring makes (more is better for \
             Skyring), and how many times its p50 Skyring takes (less is).</p>",
            self.size, self.runs, self.seconds
        );
        for group in &self.groups {
            write_group(&mut page, group);
        }
        if !self.missing.is_empty() {
            page.push_str("<h2>Not measured</h2>\n<dl class=\"wide\">\n");
            for missing in &self.missing {
                let _ = writeln!(
                    page,
                    "<div><dt>{}</dt><dd>{}</dd></div>",
                    missing.name,
                    escaped(&missing.reason)
                );
            }
            page.push_str("</dl>\n");
        }
        page.push_str("<h2>What is not equal</h2>\n<dl class=\"wide\">\n");
        for row in self.groups.first().map_or(&[][..], |group| &group.rows) {
            let _ = writeln!(
                page,
                "<div><dt>{}</dt><dd>{}</dd></div>",
                row.name,
                escaped(&row.note)
            );
        }
        page.push_str("</dl>\n</main></body></html>\n");
        page
    }
}

fn write_group(page: &mut String, group: &Group) {
    let setting = match group.spin_us {
        0 => "parking".to_owned(),
        spin_us => format!("spinning for {spin_us} us where that can be set"),
    };
    let _ = writeln!(page, "<h2>{} in flight, {setting}</h2>", group.in_flight);
    page.push_str(
        "<div class=\"scroll\"><table><tr><th></th><th></th><th>calls/s</th><th>p50</th><th>p99</th><th>CPU/call</th>\
         <th>Skyring's calls</th><th>its p50</th></tr>\n",
    );
    let most = group
        .rows
        .iter()
        .map(|row| row.calls_per_second)
        .fold(1.0, f64::max);
    for row in &group.rows {
        write_row(page, row, most);
    }
    page.push_str("</table></div>\n");
}

fn write_row(page: &mut String, row: &Row, most: f64) {
    let class = if row.name == SKYRING {
        " class=\"skyring\""
    } else {
        ""
    };
    let _ = writeln!(
        page,
        "<tr{class}><td>{}</td><td class=\"bar\"><div style=\"width:{:.1}%\"></div></td><td>{}</td><td>{}</td>\
         <td>{}</td><td>{}</td><td>{:.2} x</td><td>{:.2} x</td></tr>",
        row.name,
        row.calls_per_second / most * 100.0,
        grouped(row.calls_per_second),
        duration(row.p50_us),
        duration(row.p99_us),
        row.cpu_us_per_call
            .map_or_else(|| "?".to_owned(), |cpu| format!("{cpu:.2} us")),
        row.skyring_calls_ratio,
        row.skyring_p50_ratio,
    );
}

#[cfg(test)]
mod tests {
    use super::super::plan::tests::table;

    #[test]
    fn a_page_has_every_setting_and_reason_and_needs_no_other_file() {
        let page = table().to_html();
        for part in [
            "1 in flight, parking",
            "8 in flight, spinning for 50 us",
            "<dt>tonic</dt><dd>&quot;not&quot; &lt;here&gt;",
        ] {
            assert!(page.contains(part), "no {part:?} in {page}");
        }
        assert_eq!(page.matches("class=\"skyring\"").count(), 4);
        assert!(!page.contains("http") && !page.contains("<script"));
    }
}
