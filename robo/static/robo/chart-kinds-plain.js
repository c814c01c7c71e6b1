/* The kinds that any finance page could have: donut, lines, fan, bars. The shapes of their data are
   at the head of chart-kinds.js. */
(() => {
  "use strict";
  const {
    percent,
    formatsOf,
    showDay,
    axisText,
    legend,
    dateAxis,
    valueAxis,
    dateTooltip,
    plainLine,
    grid,
  } = window.evenkeelChartParts;

  const donut = (data, theme, { isNarrow }) => {
    const { full } = formatsOf(data);
    const { centre, rows } = data;
    const centreX = isNarrow ? "50%" : "29%";
    return {
      height: isNarrow ? 250 + Math.ceil(rows.length / 2) * 24 : null,
      legend: {
        orient: isNarrow ? "horizontal" : "vertical",
        left: isNarrow ? "center" : "58%",
        top: isNarrow ? 236 : "middle",
        itemWidth: 10,
        itemHeight: 10,
        itemGap: isNarrow ? 12 : 14,
        icon: "circle",
        selectedMode: false,
        textStyle: {
          color: theme.colour("ink-soft"),
          fontSize: 13,
          rich: { weight: { color: theme.colour("ink"), fontWeight: 600, fontSize: 13 } },
        },
        formatter: (name) => {
          const row = rows.find(({ label }) => label === name);
          return `${name}  {weight|${percent(row.weight)}}`;
        },
      },
      // The middle of the ring, in words.
      title: centre && {
        text: centre.value,
        subtext: centre.label,
        left: centreX,
        top: isNarrow ? 88 : "middle",
        textAlign: "center",
        itemGap: 4,
        textStyle: { color: theme.colour("ink"), fontSize: 18, fontWeight: 600, lineHeight: 22 },
        subtextStyle: { color: theme.colour("muted"), fontSize: 12, lineHeight: 16 },
      },
      tooltip: {
        trigger: "item",
        formatter: ({ data: { row } }) =>
          [row.label, percent(row.weight), ...(row.value == null ? [] : [full(row.value)])].join(
            "\n",
          ),
      },
      series: [
        {
          type: "pie",
          radius: isNarrow ? [74, 104] : ["62%", "88%"],
          center: [centreX, isNarrow ? 114 : "50%"],
          label: { show: false },
          itemStyle: { borderColor: theme.colour("surface"), borderWidth: 2 },
          emphasis: { scale: true, scaleSize: 4 },
          data: rows.map((row) => ({ name: row.label, value: row.weight, row })),
        },
      ],
    };
  };

  const lines = (data, theme, view) => {
    const { full, axis } = formatsOf(data);
    const key = legend(
      theme,
      view,
      data.series.map(({ label }) => ({ name: label })),
    );
    return {
      legend: key.legend,
      extraHeight: key.extraHeight,
      grid: grid(view, key.gridTop),
      xAxis: dateAxis(theme, data.dates, view),
      yAxis: valueAxis(theme, axis, { scale: true }),
      tooltip: dateTooltip(theme, (items) =>
        [
          showDay(data.dates[items[0].dataIndex]),
          ...items.map(({ seriesName, dataIndex, seriesIndex }) => {
            return `${seriesName} ${full(data.series[seriesIndex].values[dataIndex])}`;
          }),
        ].join("\n"),
      ),
      series: data.series.map(({ label, values }, index) =>
        plainLine(label, values, theme.series[index % theme.series.length]),
      ),
    };
  };

  /** Fill between two percentiles: an unseen line below, and the difference stacked on it. */
  const spread = (data, [low, high], name, colour, opacity) => [
    plainLine(`${name} floor`, data[low], colour, {
      stack: name,
      lineStyle: { opacity: 0 },
      silent: true,
    }),
    plainLine(
      name,
      data[high].map((top, index) => top - data[low][index]),
      colour,
      {
        stack: name,
        lineStyle: { opacity: 0 },
        areaStyle: { color: colour, opacity },
        itemStyle: { color: colour, opacity: opacity * 2 }, // in the legend
        silent: true,
      },
    ),
  ];

  const fan = (data, theme, view) => {
    const { full, axis } = formatsOf(data);
    const colour = theme.series[0];
    const names = ["Middle", "Half of all outcomes", "Nine in ten outcomes"];
    const key = legend(
      theme,
      view,
      names.map((name) => ({ name })),
      { selectedMode: false },
    );
    const top = Math.max(0, ...data.p95);
    const goal = data.goal != null && {
      silent: true,
      symbol: "none",
      lineStyle: { color: theme.colour("amber-fill"), type: "dashed", width: 1.5 },
      label: {
        formatter: `Goal ${full(data.goal)}`,
        position: "insideStartTop",
        color: theme.colour("amber"),
      },
      data: [{ yAxis: data.goal }],
    };
    return {
      legend: key.legend,
      extraHeight: key.extraHeight,
      grid: grid(view, key.gridTop),
      xAxis: dateAxis(theme, data.dates, view),
      yAxis: valueAxis(theme, axis, {
        max: data.goal > top ? data.goal * 1.08 : null, // else the axis finds a round figure
      }),
      tooltip: dateTooltip(theme, (items) => {
        const index = items[0].dataIndex;
        return [
          showDay(data.dates[index]),
          `Middle ${full(data.p50[index])}`,
          `Half of all: ${full(data.p25[index])} – ${full(data.p75[index])}`,
          `Nine in ten: ${full(data.p5[index])} – ${full(data.p95[index])}`,
        ].join("\n");
      }),
      series: [
        ...spread(data, ["p5", "p95"], "Nine in ten outcomes", colour, 0.12),
        ...spread(data, ["p25", "p75"], "Half of all outcomes", colour, 0.2),
        plainLine("Middle", data.p50, colour, { markLine: goal || undefined }),
      ],
    };
  };

  const bars = (data, theme, view) => {
    const { full, axis } = formatsOf(data);
    return {
      height: data.rows.length * 40 + 44,
      grid: { left: 4, right: view.isNarrow ? 64 : 90, top: 4, bottom: 4, containLabel: true },
      xAxis: valueAxis(theme, axis),
      yAxis: {
        type: "category",
        inverse: true,
        data: data.rows.map(({ label }) => label),
        axisLine: { show: false },
        axisTick: { show: false },
        axisLabel: {
          ...axisText(theme),
          color: theme.colour("ink"),
          fontSize: 13,
          width: view.isNarrow ? 110 : 200,
          overflow: "truncate",
        },
      },
      tooltip: {
        trigger: "item",
        formatter: ({ dataIndex }) =>
          `${data.rows[dataIndex].label}\n${full(data.rows[dataIndex].value)}`,
      },
      series: [
        {
          type: "bar",
          barWidth: 14,
          emphasis: { disabled: true },
          label: {
            show: true,
            position: "right",
            color: theme.colour("ink"),
            formatter: ({ value }) => full(value),
          },
          data: data.rows.map((row) => ({
            value: row.value,
            itemStyle: {
              color: row.highlight ? theme.series[0] : theme.series[7],
              borderRadius: row.value < 0 ? [3, 0, 0, 3] : [0, 3, 3, 0],
            },
          })),
        },
      ],
    };
  };

  Object.assign(window.evenkeelChartKinds, { donut, lines, fan, bars });
})();
