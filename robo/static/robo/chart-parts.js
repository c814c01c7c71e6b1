/* What several kinds of chart share: figures as text on a canvas (the counterpart of the figures
   filters), axes, legends and tooltips in the theme's colours. */
(() => {
  "use strict";

  // --- Figures on a canvas: the counterpart of the figures filters ---------------------------
  const minus = (text) => text.replace("-", "−");
  const percent = (fraction, places = 1) =>
    fraction == null ? "—" : minus(`${(fraction * 100).toFixed(places)}%`);
  const points = (fraction) =>
    fraction == null ? "—" : `${fraction > 0 ? "+" : ""}${minus((fraction * 100).toFixed(1))} pp`;

  const moneyFormat = (currency, options) => {
    const format = new Intl.NumberFormat("en-US", { style: "currency", currency, ...options });
    return (amount) => (amount == null ? "—" : minus(format.format(amount)));
  };

  const formatsOf = (data) => {
    if (data.format === "percent") return { full: percent, axis: (value) => percent(value, 0) };
    if (data.format === "number") {
      const format = new Intl.NumberFormat("en-US", { maximumFractionDigits: 2 });
      const show = (value) => (value == null ? "—" : minus(format.format(value)));
      return { full: show, axis: show };
    }
    const currency = data.currency || "USD";
    return {
      full: moneyFormat(currency, { maximumFractionDigits: 0 }),
      axis: moneyFormat(currency, { notation: "compact", maximumFractionDigits: 1 }),
    };
  };

  const months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");
  const splitDay = (iso) => {
    const [year, month, day] = String(iso).slice(0, 10).split("-").map(Number);
    return { year, month: months[month - 1], day };
  };
  const showDay = (iso) => {
    const { year, month, day } = splitDay(iso);
    return `${day} ${month} ${year}`;
  };
  /** Return how much of a date an axis of this length has to say. */
  const axisDay = (dates) => {
    const daysLong = (Date.parse(dates.at(-1)) - Date.parse(dates[0])) / 86_400_000;
    return (iso) => {
      const { year, month, day } = splitDay(iso);
      if (daysLong > 5 * 365) return String(year);
      // Some eight labels: closer than a month, two of them would read the same.
      return daysLong > 240 ? `${month} ${year}` : `${day} ${month}`;
    };
  };

  // --- Parts that several kinds share --------------------------------------------------------
  const axisLine = (theme) => ({ lineStyle: { color: theme.colour("line-strong") } });
  const gridLines = (theme) => ({ lineStyle: { color: theme.colour("line") } });
  const axisText = (theme) => ({ color: theme.colour("muted"), fontSize: 12 });

  /** Lay out a legend in as many rows as it needs, and say where the drawing begins below it. */
  const legend = (theme, { isNarrow, width }, entries, extra = {}) => {
    const rowHeight = 32; // a line of text and the gap below it
    let rows = 1;
    let used = 0;
    for (const { name } of entries) {
      const needed = name.length * 6.6 + 38;
      if (used && used + needed > width) {
        rows += 1;
        used = 0;
      }
      used += needed;
    }
    return {
      gridTop: rows * rowHeight + 8,
      extraHeight: (rows - 1) * rowHeight, // so that many rows do not squeeze the drawing
      legend: {
        data: entries,
        top: 0,
        left: isNarrow || rows > 1 ? 0 : "auto",
        right: 0,
        padding: [2, 0],
        itemWidth: 14,
        itemHeight: 8,
        itemGap: 16,
        icon: "roundRect",
        textStyle: { color: theme.colour("ink-soft"), fontSize: 12, lineHeight: rowHeight / 2 },
        ...extra,
      },
    };
  };

  const dateAxis = (theme, dates, { isNarrow }) => ({
    type: "category",
    data: dates,
    boundaryGap: false,
    axisLine: axisLine(theme),
    axisTick: { show: false },
    axisLabel: {
      ...axisText(theme),
      hideOverlap: true,
      interval: Math.max(0, Math.ceil(dates.length / (isNarrow ? 4 : 8)) - 1),
      alignMinLabel: "left",
      alignMaxLabel: "right",
      formatter: axisDay(dates),
    },
  });

  const valueAxis = (theme, formatter, { axisLabel, ...extra } = {}) => ({
    type: "value",
    splitNumber: 4,
    axisLabel: { ...axisText(theme), formatter, ...axisLabel },
    splitLine: gridLines(theme),
    ...extra,
  });

  const dateTooltip = (theme, formatter) => ({
    trigger: "axis",
    axisPointer: {
      type: "line",
      lineStyle: { color: theme.colour("control-line"), type: "dashed" },
    },
    formatter,
  });

  const plainLine = (name, values, colour, extra = {}) => ({
    name,
    type: "line",
    data: values,
    showSymbol: values.length < 2, // one day alone is a dot, not a line
    lineStyle: { width: 2, color: colour },
    itemStyle: { color: colour },
    emphasis: { disabled: true },
    ...extra,
  });

  const grid = ({ isNarrow }, top) => ({
    left: 4,
    right: isNarrow ? 14 : 16,
    top,
    bottom: 4,
    containLabel: true,
  });

  window.evenkeelChartParts = {
    percent,
    points,
    formatsOf,
    showDay,
    axisLine,
    gridLines,
    axisText,
    legend,
    dateAxis,
    valueAxis,
    dateTooltip,
    plainLine,
    grid,
  };
  window.evenkeelChartKinds = {}; // kind → function; filled by the chart-kinds files
})();
