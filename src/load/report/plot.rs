//! Plots as inline SVG: lines and bars, coloured by the page's style sheet alone.

use std::fmt::Write;

/// Size of a plot in its own units.
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 280.0;
/// Room for the axes' numbers.
const LEFT: f64 = 58.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 40.0;

/// How an axis maps its values.
#[derive(Clone, Copy, PartialEq)]
pub enum Scale {
    /// From zero.
    Linear,
    /// By decades.
    Log,
    /// Shares of 0 to 1, so that 0.9, 0.99 and 0.999 are equally far apart.
    Percentile,
}

/// One axis.
pub struct Axis {
    /// What stands at it.
    pub label: &'static str,
    /// How it maps.
    pub scale: Scale,
}

/// One line.
pub struct Series {
    /// For the legend.
    pub name: String,
    /// Class of the style sheet: `a` to `d`.
    pub class: &'static str,
    /// In order of x.
    pub points: Vec<(f64, f64)>,
}

/// Lines over one pair of axes.
pub struct Plot {
    /// The horizontal one.
    pub x: Axis,
    /// The vertical one.
    pub y: Axis,
    /// The lines.
    pub series: Vec<Series>,
}

/// Text that may stand in HTML and its attributes.
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

impl Scale {
    /// Where a value lies, before the axis is stretched to its length.
    fn place(self, value: f64) -> f64 {
        match self {
            Scale::Linear => value,
            Scale::Log => value.max(1e-9).log10(),
            Scale::Percentile => -(1.0 - value.clamp(0.0, 0.999_999)).log10(),
        }
    }

    /// Range of the axis that holds these values.
    fn range(self, values: impl Iterator<Item = f64>) -> (f64, f64) {
        let (low, high) = values.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
        if low > high {
            return (0.0, 1.0);
        }
        match self {
            Scale::Linear => (low.min(0.0), if high > 0.0 { high * 1.06 } else { 1.0 }),
            Scale::Log => (low.max(1e-3), high.max(low.max(1e-3) * 10.0)),
            Scale::Percentile => (0.0, high.max(0.99)),
        }
    }

    /// Values that get a line and a number.
    fn ticks(self, (low, high): (f64, f64)) -> Vec<f64> {
        match self {
            Scale::Linear => {
                let step = nice((high - low) / 5.0);
                let first = (low / step).ceil() as i64;
                (first..).map(|k| k as f64 * step).take_while(|value| *value <= high).take(12).collect()
            }
            Scale::Log => {
                let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
                let steps: &[f64] = if last - first <= 2 { &[1.0, 2.0, 5.0] } else { &[1.0] };
                let all = (first..=last).flat_map(|decade| steps.iter().map(move |step| step * 10f64.powi(decade)));
                all.filter(|value| (low..=high).contains(value)).collect()
            }
            Scale::Percentile => {
                [0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999].into_iter().filter(|share| *share <= high).collect()
            }
        }
    }

    fn show(self, value: f64) -> String {
        match self {
            Scale::Percentile if value == 0.0 => "0".to_owned(),
            Scale::Percentile => format!("p{}", trim(value * 100.0, 3)),
            _ => trim(value, 3),
        }
    }
}

/// A number without zeros at its end.
fn trim(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text.is_empty() || text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// 1, 2 or 5 times a power of ten, not below the value.
fn nice(value: f64) -> f64 {
    let value = value.max(1e-9);
    let decade = 10f64.powf(value.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|step| step * decade)
        .find(|step| *step >= value * 0.999)
        .unwrap_or(decade * 10.0)
}

/// An axis that knows where it lies.
struct Placed {
    scale: Scale,
    range: (f64, f64),
    from: f64,
    to: f64,
}

impl Placed {
    fn new(scale: Scale, values: impl Iterator<Item = f64>, from: f64, to: f64) -> Placed {
        Placed { scale, range: scale.range(values), from, to }
    }

    fn at(&self, value: f64) -> f64 {
        let (low, high) = (self.scale.place(self.range.0), self.scale.place(self.range.1));
        let share = if high > low { (self.scale.place(value) - low) / (high - low) } else { 0.0 };
        self.from + share.clamp(0.0, 1.0) * (self.to - self.from)
    }

    fn ticks(&self) -> impl Iterator<Item = (f64, String)> {
        self.scale.ticks(self.range).into_iter().map(|value| (self.at(value), self.scale.show(value)))
    }
}

fn open(label: &str) -> String {
    format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">", escape(label))
}

fn frame(svg: &mut String, x: Option<&Placed>, y: &Placed, labels: [&str; 2]) {
    for (at, text) in y.ticks() {
        let _ = write!(svg, "<path class=\"grid\" d=\"M{LEFT} {at:.1}H{:.1}\"/>", WIDTH - RIGHT);
        let _ = write!(svg, "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>", LEFT - 7.0, at + 4.0);
    }
    for (at, text) in x.into_iter().flat_map(Placed::ticks) {
        let _ = write!(svg, "<path class=\"grid\" d=\"M{at:.1} {TOP}V{:.1}\"/>", HEIGHT - BOTTOM);
        let _ =
            write!(svg, "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{text}</text>", HEIGHT - BOTTOM + 16.0);
    }
    let _ = write!(svg, "<path class=\"axis\" d=\"M{LEFT} {:.1}H{:.1}\"/>", HEIGHT - BOTTOM, WIDTH - RIGHT);
    let middle = (LEFT + WIDTH - RIGHT) / 2.0;
    let _ = write!(
        svg,
        "<text class=\"label\" x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
        HEIGHT - 6.0,
        escape(labels[0])
    );
    let middle = (TOP + HEIGHT - BOTTOM) / 2.0;
    let _ = write!(
        svg,
        "<text class=\"label\" transform=\"translate(13 {middle:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
        escape(labels[1])
    );
}

impl Plot {
    /// The legend and the drawing, as HTML; empty without any point.
    pub fn html(&self) -> String {
        let series: Vec<_> = self.series.iter().filter(|series| !series.points.is_empty()).collect();
        if series.is_empty() {
            return String::new();
        }
        let points = || series.iter().flat_map(|series| &series.points);
        let x = Placed::new(self.x.scale, points().map(|point| point.0), LEFT, WIDTH - RIGHT);
        let y = Placed::new(self.y.scale, points().map(|point| point.1), HEIGHT - BOTTOM, TOP);
        let mut html = legend(series.iter().map(|series| (series.class, series.name.as_str())));
        html += &open(self.y.label);
        frame(&mut html, Some(&x), &y, [self.x.label, self.y.label]);
        for series in series {
            let _ = write!(html, "<path class=\"line {}\" d=\"", series.class);
            for (k, point) in series.points.iter().enumerate() {
                let _ = write!(html, "{}{:.1} {:.1}", if k == 0 { 'M' } else { 'L' }, x.at(point.0), y.at(point.1));
            }
            html += "\"/>";
        }
        html + "</svg>"
    }
}

fn legend<'a>(names: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut html = "<p class=\"legend\">".to_owned();
    for (class, name) in names {
        let _ = write!(html, "<span><i class=\"{class}\"></i>{}</span>", escape(name));
    }
    html + "</p>"
}

/// Bars in groups: the name of each group, and one value per name of the legend.
pub fn bars(
    label: &'static str,
    names: &[(&'static str, &'static str)],
    groups: &[(String, Vec<Option<f64>>)],
) -> String {
    let values = || groups.iter().flat_map(|(_, values)| values.iter().flatten().copied());
    if values().next().is_none() {
        return String::new();
    }
    let y = Placed::new(Scale::Linear, values(), HEIGHT - BOTTOM, TOP + 12.0);
    let mut html = legend(names.iter().copied());
    html += &open(label);
    frame(&mut html, None, &y, ["", label]);
    let group_width = (WIDTH - RIGHT - LEFT) / groups.len() as f64;
    let bar = (group_width * 0.7 / names.len().max(1) as f64).min(70.0);
    for (k, (name, values)) in groups.iter().enumerate() {
        let middle = LEFT + (k as f64 + 0.5) * group_width;
        let mut at = middle - bar * names.len() as f64 / 2.0;
        for (value, (class, _)) in values.iter().zip(names) {
            if let Some(value) = value {
                let top = y.at(*value);
                let height = HEIGHT - BOTTOM - top;
                let _ = write!(
                    html,
                    "<rect class=\"{class}\" x=\"{:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{height:.1}\" rx=\"2\"/>",
                    at + 2.0,
                    bar - 4.0
                );
                let _ = write!(
                    html,
                    "<text class=\"value\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                    at + bar / 2.0,
                    top - 5.0,
                    format_args!("{value:.2}")
                );
            }
            at += bar;
        }
        let _ = write!(
            html,
            "<text x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            HEIGHT - BOTTOM + 17.0,
            escape(name)
        );
    }
    html + "</svg>"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_numbers_within_the_axis() {
        assert_eq!(Scale::Linear.ticks((0.0, 10.0)), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(Scale::Log.ticks((0.05, 3.0)), [0.1, 1.0]);
        assert_eq!(Scale::Log.ticks((1.0, 20.0)), [1.0, 2.0, 5.0, 10.0, 20.0]);
        assert_eq!(Scale::Percentile.ticks((0.0, 0.9995)).len(), 5);
        assert_eq!((Scale::Percentile.show(0.999), Scale::Linear.show(1.50)), ("p99.9".into(), "1.5".into()));
    }

    #[test]
    fn percentiles_of_nine_and_ninety_nine_are_equally_far_apart() {
        let far = |a: f64, b: f64| Scale::Percentile.place(b) - Scale::Percentile.place(a);
        assert!((far(0.0, 0.9) - far(0.9, 0.99)).abs() < 1e-9);
    }

    #[test]
    fn odd_values_draw_no_nonsense() {
        let axis = |scale| Axis { label: "x", scale };
        for scale in [Scale::Linear, Scale::Log, Scale::Percentile] {
            for points in [vec![(0.0, 0.0)], vec![(1.0, -5.0), (1.0, 1e12)]] {
                let series = vec![Series { name: "<s>".into(), class: "a", points }];
                let html = Plot { x: axis(scale), y: axis(Scale::Log), series }.html();
                assert!(!html.contains("NaN") && !html.contains("inf") && html.contains("&lt;s&gt;"), "{html}");
            }
        }
        assert_eq!(Plot { x: axis(Scale::Log), y: axis(Scale::Log), series: Vec::new() }.html(), "");
        assert_eq!(bars("x", &[("a", "server")], &[]), "");
    }
}
