//! A chart of ratios as an SVG file: a bar for each, a line where it must reach, and one for the aim.

use std::fmt::Write as _;
use std::fs;

use anyhow::Result;
use support::repository;

use crate::table;

/// One ratio.
#[derive(Debug, Clone)]
pub(crate) struct Bar {
    pub(crate) name: String,
    pub(crate) ratio: f64,
    pub(crate) target: f64,
    pub(crate) aim: f64,
}

const WIDTH: f64 = 760.0;
const LEFT: f64 = 270.0;
const ROW: f64 = 46.0;
const TOP: f64 = 56.0;

/// Writes it into the folder of what is built, and says where.
pub(crate) fn write(name: &str, title: &str, bars: &[Bar]) -> Result<()> {
    let folder = repository().join("target/bench");
    fs::create_dir_all(&folder)?;
    let path = folder.join(format!("{name}.svg"));
    fs::write(&path, draw(title, bars))?;
    table::say(&format!("  chart: {}", path.display()));
    Ok(())
}

fn draw(title: &str, bars: &[Bar]) -> String {
    let most = bars
        .iter()
        .flat_map(|bar| [bar.ratio, bar.target, bar.aim])
        .fold(0.1, f64::max);
    let x = |value: f64| LEFT + value / most * (WIDTH - LEFT - 70.0);
    let height = f64::from(u32::try_from(bars.len()).unwrap_or(0)).mul_add(ROW, TOP + 10.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"16\" y=\"26\" font-size=\"15\">{}</text>\n\
         <text x=\"16\" y=\"44\" fill=\"#555\">Ratio; solid line: at least; dashed line: the aim</text>\n",
        escaped(title)
    );
    let mut y = TOP;
    for bar in bars {
        let colour = if bar.ratio >= bar.target {
            "#00703c"
        } else {
            "#d4351c"
        };
        // Writing to memory cannot fail.
        let _ = write!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\n\
             <rect x=\"{LEFT}\" y=\"{}\" width=\"{:.1}\" height=\"26\" fill=\"{colour}\"/>\n\
             <text x=\"{:.1}\" y=\"{}\">{:.2}</text>\n",
            LEFT - 10.0,
            y + 23.0,
            escaped(&bar.name),
            y + 6.0,
            x(bar.ratio) - LEFT,
            x(bar.ratio.max(bar.aim)) + 8.0,
            y + 23.0,
            bar.ratio,
        );
        for (value, dashes) in [(bar.target, "none"), (bar.aim, "4 3")] {
            let _ = writeln!(
                svg,
                "<line x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"{1}\" y2=\"{2}\" stroke=\"black\" stroke-dasharray=\"{dashes}\"/>",
                x(value),
                y + 2.0,
                y + 36.0,
            );
        }
        y += ROW;
    }
    svg.push_str("</svg>\n");
    svg
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
