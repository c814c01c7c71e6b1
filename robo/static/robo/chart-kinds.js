/* The kinds of chart, each a function (data, theme, {isNarrow}) → ECharts option. Pages write them
   with {% load charts %}{% chart "KIND" data title="…" caption="…" size="sm|lg" %}.

   Weights and drifts are fractions (0.25 is 25%), dates ISO text, a gap in a series is null.
   Keys marked ? may be missing or null.

   allocation {"rows": [{"label", "current", "target", "low", "high", "after"?, "breached"}]}
              one bar per asset class; low and high are the band's limits as weights (0.15, 0.25);
              with "after" each row has a second bar, for a proposal. Grows with its rows.
   value      {"dates": [], "values": [], "invested"?: [], "benchmark"?: [], "benchmark_label"?,
               "currency"?: "USD", "rebalances"?: [{"date", "label"}],
               "flows"?: [{"date", "amount", "label"?}]}   amount below zero is a withdrawal
   drift      {"dates": [], "series": [{"label", "values": [], "low", "high"}],
               "marks"?: [{"date", "kind": "check"|"proposal"|"trade", "label"}]}
              values are weight − target, low (below zero) and high the same for the band's limits.
              If the series have different limits the axis shows the share of the band used.
   donut      {"rows": [{"label", "weight", "value"?}], "currency"?, "centre"?: {"label", "value"}}
              centre.value is text, already formatted
   lines      {"dates": [], "series": [{"label", "values": []}], "format"?, "currency"?}
   fan        {"dates": [], "p5": [], "p25": [], "p50": [], "p75": [], "p95": [], "goal"?,
               "currency"?}   percentiles of a simulation; goal is an amount
   bars       {"rows": [{"label", "value", "highlight"?}], "value_label"?, "format"?, "currency"?}

   donut, lines, fan and bars are drawn in chart-kinds-plain.js.
   "format" is "money" (the default), "percent" (of fractions) or "number". */
(() => {
  "use strict";
  const {
    percent,
    points,
    formatsOf,
    showDay,
    axisLine,
    axisText,
    legend,
    dateAxis,
    valueAxis,
    dateTooltip,
    plainLine,
    grid,
  } = window.evenkeelChartParts;

  // --- allocation ----------------------------------------------------------------------------
  const nearShare = 0.75; // of the band used: worth watching, as in the drift bars

  const toneOf = (row, theme) => {
    if (row.breached) return theme.colour("red-fill");
    const room = row.current >= row.target ? row.high - row.target : row.target - row.low;
    const isNear =
      row.current !== row.target && Math.abs(row.current - row.target) >= nearShare * room;
    return theme.colour(isNear ? "amber-fill" : "series-1");
  };

  /** Draw a rectangle around each row's line, from one weight to another. */
  const rowRectangles = (name, spans, colour, height, extra = {}) => ({
    name,
    type: "custom",
    itemStyle: { color: colour },
    data: spans,
    renderItem: (_params, api) => {
      const [left, middle] = api.coord([api.value(0), api.value(2)]);
      const [right] = api.coord([api.value(1), api.value(2)]);
      const width = Math.max(right - left, 2);
      return {
        type: "rect",
        shape: { x: left, y: middle - height / 2, width, height, r: extra.radius ?? 0 },
        style: { fill: colour },
      };
    },
    silent: true,
    tooltip: { show: false },
    z: extra.z,
  });

  const allocation = (data, theme, view) => {
    const { rows } = data;
    const hasAfter = rows.some((row) => row.after != null);
    const rowHeight = hasAfter ? 56 : 46;
    const thickness = hasAfter ? 9 : 11;
    const bars = [
      {
        name: "Now",
        type: "bar",
        barWidth: thickness,
        barGap: "35%",
        itemStyle: { color: theme.colour("series-1"), borderRadius: [0, 3, 3, 0] },
        emphasis: { disabled: true },
        data: rows.map((row) => ({ value: row.current, itemStyle: { color: toneOf(row, theme) } })),
        z: 3,
      },
    ];
    if (hasAfter) {
      bars.push({
        ...bars[0],
        name: "After",
        itemStyle: { color: theme.colour("blue-fill"), borderRadius: [0, 3, 3, 0] },
        data: rows.map((row) => row.after),
      });
    }
    const bandHeight = rowHeight - 14;
    const ceiling = Math.max(
      ...rows.flatMap((row) => [row.current, row.high, row.after ?? 0]),
      0.01,
    );
    const names = ["Now", ...(hasAfter ? ["After"] : []), "Target", "Band"];
    const key = legend(
      theme,
      view,
      names.map((name) => ({ name })),
      { selectedMode: false },
    );
    return {
      height: rows.length * rowHeight + key.gridTop + 36,
      legend: key.legend,
      grid: grid(view, key.gridTop),
      xAxis: valueAxis(theme, (value) => percent(value, 0), { max: Math.ceil(ceiling * 20) / 20 }),
      yAxis: {
        type: "category",
        inverse: true,
        data: rows.map((row) => row.label),
        axisLine: { show: false },
        axisTick: { show: false },
        axisLabel: {
          color: theme.colour("ink"),
          fontSize: 13,
          width: Math.min(180, view.width * 0.32),
          overflow: "truncate",
        },
      },
      tooltip: {
        trigger: "axis",
        axisPointer: {
          type: "shadow",
          z: 0, // behind the bars
          shadowStyle: { color: theme.colour("line"), opacity: 0.35 },
        },
        formatter: (items) => {
          const row = rows[items[0].dataIndex];
          return [
            row.label,
            `Now ${percent(row.current)} (${points(row.current - row.target)})`,
            ...(row.after == null
              ? []
              : [`After ${percent(row.after)} (${points(row.after - row.target)})`]),
            `Target ${percent(row.target)}, band ${percent(row.low)} – ${percent(row.high)}`,
            ...(row.breached ? ["Out of band"] : []),
          ].join("\n");
        },
      },
      series: [
        rowRectangles(
          "Band",
          rows.map((row, index) => [row.low, row.high, index]),
          theme.colour("band"),
          bandHeight,
          { z: 1, radius: 4 },
        ),
        ...bars,
        rowRectangles(
          "Target",
          rows.map((row, index) => [row.target, row.target, index]),
          theme.colour("ink"),
          bandHeight + 6,
          { z: 4 },
        ),
      ],
    };
  };

  /** Put each event on the first date shown on or after its own: a weekend's is Monday's. */
  const placed = (events, dates) =>
    (events || [])
      .map((event) => ({ event, position: dates.findIndex((day) => day >= event.date) }))
      .filter(({ position }) => position >= 0);

  // --- value over time -----------------------------------------------------------------------
  const value = (data, theme, view) => {
    const { full, axis } = formatsOf(data);
    const events = new Map(); // position of the day → what happened
    const marker = (name, list, symbol, colour, words) => {
      const spots = placed(list, data.dates);
      for (const { position, event } of spots) {
        events.set(position, [...(events.get(position) || []), words(event)]);
      }
      if (!spots.length) return [];
      return [
        {
          name,
          type: "scatter",
          symbol,
          symbolSize: 11,
          itemStyle: { color: colour, borderColor: theme.colour("surface"), borderWidth: 1.5 },
          data: spots.map(({ position }) => [data.dates[position], data.values[position]]),
          z: 5,
        },
      ];
    };
    const series = [
      plainLine("Value", data.values, theme.series[0], {
        areaStyle: { color: theme.series[0], opacity: 0.08, origin: "start" },
      }),
    ];
    if (data.invested) {
      series.push(
        plainLine("Net deposits", data.invested, theme.colour("control-line"), {
          step: "end",
          lineStyle: { width: 1.5, type: "dashed", color: theme.colour("control-line") },
        }),
      );
    }
    if (data.benchmark) {
      series.push(plainLine(data.benchmark_label || "Benchmark", data.benchmark, theme.series[2]));
    }
    const lines = series.map(({ name, data: values }) => [name, values]);
    series.push(
      ...marker(
        "Rebalanced",
        data.rebalances,
        "diamond",
        theme.colour("amber-fill"),
        (event) => event.label || "Rebalanced",
      ),
      ...marker(
        "Deposit or withdrawal",
        data.flows,
        "circle",
        theme.colour("blue-fill"),
        (event) =>
          `${event.label || (event.amount < 0 ? "Withdrawal" : "Deposit")} ${full(event.amount)}`,
      ),
    );
    const entries = series.map(({ name, symbol }) => ({ name, ...(symbol && { icon: symbol }) }));
    const key = legend(theme, view, entries, { selectedMode: false });
    return {
      legend: key.legend,
      extraHeight: key.extraHeight,
      grid: grid(view, key.gridTop),
      xAxis: dateAxis(theme, data.dates, view),
      yAxis: valueAxis(theme, axis, { scale: true }),
      tooltip: dateTooltip(theme, (items) => {
        const at = data.dates.indexOf(items[0].axisValue);
        return [
          showDay(data.dates[at]),
          ...lines.map(([name, values]) => `${name} ${full(values[at])}`),
          ...(events.get(at) || []),
        ].join("\n");
      }),
      series,
    };
  };

  // --- drift over time -----------------------------------------------------------------------
  const marksOf = {
    check: { name: "Checked", colour: "control-line", type: "dotted" },
    proposal: { name: "Proposed", colour: "blue-fill", type: "dashed" },
    trade: { name: "Rebalanced", colour: "ink-soft", type: "solid" },
  };
  const silentMark = { silent: true, symbol: "none", label: { show: false } };

  /** Return a series without a line of its own, on which bands and marks can hang. */
  const invisible = (dates, name, colour, extra) => ({
    name,
    type: "line",
    data: dates.map(() => null),
    itemStyle: { color: colour },
    silent: true,
    ...extra,
  });

  const bandSeries = (data, theme, [low, high]) =>
    invisible(data.dates, "Band", theme.colour("band"), {
      markArea: {
        silent: true,
        itemStyle: { color: theme.colour("band"), opacity: 0.45 },
        data: [[{ yAxis: low }, { yAxis: high }]],
      },
      markLine: {
        ...silentMark,
        lineStyle: { color: theme.colour("red-fill"), type: "dashed", width: 1 },
        data: [{ yAxis: low }, { yAxis: high }],
      },
    });

  const markSeries = (data, theme, spots) =>
    Object.entries(marksOf).flatMap(([kind, { name, colour, type }]) => {
      const own = spots.filter(({ event }) => event.kind === kind);
      if (!own.length) return [];
      const lineStyle = { color: theme.colour(colour), width: 1.25, type };
      const lines = own.map(({ position }) => ({ xAxis: data.dates[position] }));
      return [
        invisible(data.dates, name, theme.colour(colour), {
          markLine: { ...silentMark, lineStyle, data: lines },
        }),
      ];
    });

  const isOut = (entry, drifted) =>
    drifted != null && (drifted < entry.low || drifted > entry.high);

  /** Return a drift as the share of the band it uses; beyond a band without width, as twice it. */
  const shareOfBand = (entry, drifted) => {
    if (!drifted) return drifted;
    const room = drifted > 0 ? entry.high : -entry.low;
    return room > 0 ? drifted / room : 2 * Math.sign(drifted);
  };

  const driftLine = (entry, heights, colour) =>
    plainLine(
      entry.label,
      entry.values.map((drifted, index) => {
        const isBreach = isOut(entry, drifted);
        return {
          value: heights[index],
          symbol: "circle",
          symbolSize: isBreach ? 4 : 0,
          ...(isBreach && { itemStyle: { color: colour.breach } }),
        };
      }),
      colour.line,
      { showSymbol: true, showAllSymbol: true, lineStyle: { width: 1.75, color: colour.line } },
    );

  const drift = (data, theme, view) => {
    const [first] = data.series;
    const isShared = data.series.every(({ low, high }) => low === first.low && high === first.high);
    const heights = data.series.map((entry) =>
      entry.values.map((drifted) => (isShared ? drifted : shareOfBand(entry, drifted))),
    );
    const limits = isShared && first ? [first.low, first.high] : [-1, 1];
    const extreme = heights
      .flat()
      .reduce(
        (most, height) => Math.max(most, Math.abs(height ?? 0)),
        Math.max(...limits.map(Math.abs)),
      );
    const spots = placed(data.marks, data.dates);
    const series = [
      ...data.series.map((entry, index) =>
        driftLine(entry, heights[index], {
          line: theme.series[index % theme.series.length],
          breach: theme.colour("red-fill"),
        }),
      ),
      bandSeries(data, theme, limits),
      ...markSeries(data, theme, spots),
    ];
    const key = legend(
      theme,
      view,
      series.map(({ name }) => ({ name })),
    );
    return {
      legend: key.legend,
      extraHeight: key.extraHeight,
      grid: grid(view, key.gridTop + (isShared ? 0 : 16)),
      xAxis: {
        ...dateAxis(theme, data.dates, view),
        axisLine: { ...axisLine(theme), onZero: false },
      },
      yAxis: {
        ...valueAxis(theme, (height) => (isShared ? points(height) : percent(height, 0)), {
          min: -1.12 * extreme,
          max: 1.12 * extreme,
          axisLabel: { showMinLabel: false, showMaxLabel: false }, // no round figures
        }),
        name: isShared ? "" : "Share of the band used",
        nameTextStyle: { color: theme.colour("muted"), align: "left" },
      },
      tooltip: dateTooltip(theme, (items) => {
        const at = items[0].dataIndex;
        const lines = data.series.map(({ values, ...entry }) => {
          const words = isOut(entry, values[at]) ? ", out of band" : "";
          return `${entry.label} ${points(values[at])}${words}`;
        });
        const happened = spots.filter(({ position }) => position === at);
        return [
          showDay(data.dates[at]),
          ...lines,
          ...happened.map(({ event }) => event.label),
        ].join("\n");
      }),
      series,
    };
  };

  Object.assign(window.evenkeelChartKinds, { allocation, value, drift });
})();
